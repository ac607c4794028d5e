//! With mosquitto's own clients, where they are installed.

use crate::harness::{Broker, eventually};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const SUB: &str = "/usr/bin/mosquitto_sub";
const PUB: &str = "/usr/bin/mosquitto_pub";

fn installed() -> bool {
    let there = [SUB, PUB].iter().all(|path| std::path::Path::new(path).exists());
    if !there {
        eprintln!("skipped: mosquitto-clients is not installed");
    }
    there
}

async fn run(program: &'static str, port: u16, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string()]).args(arguments).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().expect("it is installed")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_sub_of_each_version_shows_what_is_retained_and_what_comes() {
    if !installed() {
        return;
    }
    let broker = Broker::start().await;
    let (publisher, _events) = broker.service("publisher", None, &[]).await;
    assert!(publisher.publish("tickberry/v1/live/s/S".into(), "kept".into(), true));
    eventually("retained", || broker.metric(&["retained_messages"]) == 2).await;
    let ticking = tokio::spawn(async move {
        for n in 0.. {
            publisher.publish("tickberry/v1/trades/s/S".into(), format!("{n}").into(), false);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let arguments = ["-V", version, "-v", "-C", "4", "-W", "10", "-q", "1", "-t", "tickberry/v1/#"];
        let output = run(SUB, broker.taps.port(), &arguments).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{version}: {output:?}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{version}: {text}");
        assert_eq!(lines[0], "tickberry/v1/live/s/S kept", "{version}");
        let numbers: Vec<u64> =
            lines[1..].iter().map(|l| l.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        assert!(numbers.windows(2).all(|w| w[1] == w[0] + 1), "{version}: {text}");
        // By itself a second time: -C ends with a DISCONNECT while messages are on their way.
        assert!(run(SUB, broker.taps.port(), &arguments).await.status.success(), "{version}");
    }
    ticking.abort();
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto_pub_gets_nothing_through_a_tap_and_everything_with_the_secret() {
    if !installed() {
        return;
    }
    use secrecy::ExposeSecret;
    let broker = Broker::start().await;
    let (_, mut events) = broker.service("consumer", None, &["tickberry/v1/#"]).await;
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let topic = ["-V", version, "-t", "tickberry/v1/x", "-m", version, "-q", "0"];
        drop(run(PUB, broker.taps.port(), &topic).await);
        let mut known = topic.to_vec();
        let password = broker.secret.password().expose_secret().to_owned();
        known.extend(["-i", version, "-u", broker.secret.username(), "-P", &password]);
        let output = run(PUB, broker.services.port(), &known).await;
        assert!(output.status.success(), "{output:?}");
        assert_eq!(crate::harness::message(&mut events).await.1, version);
        // An MQTT 5 client knows from CONNACK that there is only QoS 0; the others get their acknowledgement.
        if version != "mqttv5" {
            known[7] = "1";
            let output = run(PUB, broker.services.port(), &known).await;
            assert!(output.status.success(), "{output:?}");
            assert_eq!(crate::harness::message(&mut events).await.1, version);
        }
        let output = run(
            PUB,
            broker.services.port(),
            &["-V", version, "-i", "x", "-t", "t", "-m", "x", "-P", "wrong", "-u", "u"],
        )
        .await;
        assert!(!output.status.success(), "{output:?}");
    }
    eventually("counted", || broker.metric(&["disconnected", "taps", "\"forbidden\""]) == 3).await;
    broker.stop().await;
}
