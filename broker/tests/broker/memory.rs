//! What it costs: the router's ring, the retained messages and the queues, filled to their bounds and beyond.

use crate::harness::{Broker, Raw, eventually, packet, publish};
use tickberry_broker::Limits;

/// Resident bytes of this process, and with it of all tests that run at the same time; so this one runs in a process
/// of its own (see below).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn messages_without_end_past_stalled_subscribers_cost_what_the_limits_say() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["memory::measured_alone", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    println!("{}", text.lines().filter(|l| l.contains("MiB")).collect::<Vec<_>>().join("\n"));
}

#[test]
#[ignore = "started by the test above, in a process of its own"]
fn measured_alone() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure());
}

async fn measure() {
    let limits = Limits::default();
    let ring = limits.segment_bytes * limits.segments;
    let queues = 4 * limits.tap_queue_bytes + limits.service_queue_bytes;
    let broker = Broker::with(limits).await;
    let mut publisher = Raw::service(&broker, "flood").await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        stalled.push(Raw::tap(broker.taps, 0).await.subscribed("tickberry/v1/#").await);
    }
    stalled.push(Raw::service(&broker, "stalled").await.subscribed("tickberry/v1/#").await);
    publisher.send(&publish(b"tickberry/v1/batches/s", b"warm")).await;
    eventually("warm", || broker.metric(&["received_messages_total"]) == 1).await;
    let before = resident();

    // 200 bytes of topic and payload, the size at which the router's overhead weighs most of what occurs.
    let message = publish(b"tickberry/v1/batches/finnhub", &[7; 172]);
    let batch = message.repeat(500);
    let mut most = 0;
    for round in 0..400u64 {
        publisher.send(&batch).await;
        if round % 50 == 0 {
            most = most.max(resident());
        }
    }
    publisher.send(&packet(0xc0, &[])).await;
    assert_eq!(publisher.packet().await, Some((0xd0, vec![])));
    eventually("all in", || broker.metric(&["received_messages_total"]) == 200_001).await;
    let grown = most.max(resident()).saturating_sub(before);

    // The ring by the formula, each queue once, and something for what malloc and the connections keep.
    let formula = ring + ring * 245 / 200;
    let bound = formula + queues + (4 << 20);
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    eprintln!(
        "grown by {:.1} MiB; ring {:.1} MiB by the formula, queues {:.1} MiB, bound {:.1} MiB",
        mib(grown),
        mib(formula),
        mib(queues),
        mib(bound)
    );
    assert!(grown < bound, "{:.1} MiB", mib(grown));
    assert!(broker.metric(&["dropped", "\"queue\""]) > 100_000, "they were stalled indeed");
    broker.stop().await;
}
