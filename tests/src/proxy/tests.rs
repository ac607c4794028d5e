use super::*;
use crate::harness::raw::publish;
use crate::harness::{Host, eventually};
use anyhow::ensure;

#[test]
fn packets_come_out_whole_however_the_bytes_came_in() {
    let sent = [publish("a/b", &[7; 300]), vec![0xc0, 0], publish("é", b""), publish("t", &[1; 20_000])];
    let stream: Vec<u8> = sent.concat();
    for step in [1, 2, 3, 1000, stream.len()] {
        let (mut packets, mut got) = (Packets::default(), Vec::new());
        for chunk in stream.chunks(step) {
            packets.push(chunk);
            got.extend(packets.by_ref());
        }
        assert_eq!(got, sent, "step {step}");
    }
    assert_eq!(packet::topic(&sent[0]), Some("a/b"));
    assert_eq!(packet::topic(&sent[1]), None);
    assert_eq!(packet::topic(&sent[2]), Some("é"));
}

#[test]
fn shares_are_kept_and_other_topics_spared() {
    let mut trouble =
        Trouble::new("x/", 1).lose(0.2).double(0.1).delay(0.1, Duration::from_millis(9)).cut(0.05);
    let (mine, other) = (publish("x/y", b"1"), publish("y/x", b"1"));
    let mut fates = [0u32; 5];
    for _ in 0..10_000 {
        assert_eq!(trouble.fate(&other), Fate::Pass);
        let which = match trouble.fate(&mine) {
            Fate::Pass => 0,
            Fate::Lose => 1,
            Fate::Double => 2,
            Fate::Delay(by) => {
                assert!(by <= Duration::from_millis(9));
                3
            }
            Fate::Cut => 4,
        };
        fates[which] += 1;
    }
    for (count, share) in fates.iter().zip([5500, 2000, 1000, 1000, 500]) {
        assert!(count.abs_diff(share) < 200, "{fates:?}");
    }
}

/// A server that notes what it gets, behind a proxy with trouble: the counts must explain every packet.
#[tokio::test]
async fn counts_explain_what_arrives() {
    let server = TcpListener::bind(Host::unique().at(0)).await.unwrap();
    let target = server.local_addr().unwrap();
    let got = Arc::new(Mutex::new(Vec::new()));
    let book = got.clone();
    tokio::spawn(async move {
        let (mut socket, _) = server.accept().await.unwrap();
        let (mut packets, mut buffer) = (Packets::default(), vec![0; 4096]);
        while let Ok(n) = socket.read(&mut buffer).await {
            packets.push(&buffer[..n]);
            book.lock().unwrap().extend(packets.by_ref());
        }
    });
    let trouble = Trouble::new("x", 2).lose(0.2).double(0.2).delay(0.2, Duration::from_millis(30));
    let proxy = Proxy::start(Host::unique().at(0), target, trouble).await.unwrap();
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let sent: Vec<Vec<u8>> = (0..200u32).map(|i| publish("x", &i.to_be_bytes())).collect();
    for packet in &sent {
        client.write_all(packet).await.unwrap();
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as usize;
    let arrived = eventually(Duration::from_secs(5), "all packets that were not lost", async || {
        let c = proxy.count();
        let seen = [&c.passed, &c.lost, &c.doubled, &c.delayed].map(count);
        ensure!(seen.iter().sum::<usize>() == sent.len() && !seen.contains(&0), "{seen:?}");
        let arrived = got.lock().unwrap().clone();
        ensure!(arrived.len() == seen[0] + 2 * seen[2] + seen[3], "{} of {seen:?}", arrived.len());
        Ok(arrived)
    });
    let arrived = arrived.await.unwrap();
    assert!(!arrived.is_sorted(), "delayed ones come behind younger ones");
    assert!(arrived.iter().all(|packet| sent.contains(packet)));
}
