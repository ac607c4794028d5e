//! The codec against hostile bytes, and against rumqttc's as the other side.

use super::decode::Will;
use super::*;
use crate::auth::Refusal;
use crate::outbox::Message;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rumqttc::mqttbytes::v4 as old;
use rumqttc::v5::mqttbytes::v5 as new;

fn decode_all(bytes: &[u8], version: Option<Version>, max: usize) -> Result<usize, Malformed> {
    let mut buffer = BytesMut::from(bytes);
    let mut packets = 0;
    while let Some(frame) = next_frame(&mut buffer, max)? {
        match version {
            Some(version) => drop(decode(frame, version)?),
            None => drop(decode_connect(frame)?),
        }
        packets += 1;
    }
    Ok(packets)
}

fn connect_bytes(name: &str, level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let mut body = (name.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(&[level, flags, 0, 10]);
    body.extend_from_slice(rest);
    [&[0x10, body.len() as u8][..], &body].concat()
}

fn connect(bytes: &[u8]) -> Result<Connect, Malformed> {
    decode_connect(next_frame(&mut BytesMut::from(bytes), 1000).unwrap().unwrap())
}

#[test]
fn connects_of_all_three_versions() {
    let old = connect(&connect_bytes("MQIsdp", 3, 2, b"\0\x01a")).unwrap();
    assert_eq!((old.version, old.keep_alive, old.client_id.as_str()), (Version::V31, 10, "a"));
    let now = connect(&connect_bytes("MQTT", 4, 0xee, b"\0\x01a\0\x01t\0\x02wm\0\x01u\0\x01p")).unwrap();
    assert_eq!(now.will, Some(Will { topic: "t".into(), payload: "wm".into(), retain: true }));
    assert_eq!((now.username.as_deref(), now.password.as_deref()), (Some("u"), Some(&b"p"[..])));
    let new = connect(&connect_bytes("MQTT", 5, 2, b"\x05\x27\0\0\x10\0\0\x01a")).unwrap();
    assert_eq!((new.version, new.max_packet), (Version::V5, 4096));
}

#[test]
fn bad_connects_say_what_is_wrong() {
    let bad =
        |name, level, flags, rest: &[u8]| connect(&connect_bytes(name, level, flags, rest)).unwrap_err();
    assert_eq!(bad("MQTT", 6, 2, b"\0\0"), Malformed::Version(6));
    assert_eq!(bad("HTTP", 4, 2, b"\0\0"), Malformed::Packet("not MQTT"));
    assert_eq!(bad("MQTT", 4, 3, b"\0\0"), Malformed::Packet("CONNECT flags"));
    assert_eq!(bad("MQTT", 4, 2, b"\0\x05a"), Malformed::Packet("a field longer than its packet"));
    assert_eq!(bad("MQTT", 4, 2, b"\0\0x"), Malformed::Packet("bytes left over"));
    assert_eq!(bad("MQTT", 5, 2, b"\x02\x7f\0\0\0"), Malformed::Packet("a property that does not exist"));
}

#[test]
fn a_packet_too_large_is_refused_from_its_header() {
    assert_eq!(
        next_frame(&mut BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f][..]), 1000),
        Err(Malformed::TooLarge(268_435_455))
    );
    assert!(matches!(
        next_frame(&mut BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0xff][..]), 1000),
        Err(Malformed::Packet(_))
    ));
    assert_eq!(next_frame(&mut BytesMut::from(&[0x30, 0xff, 0xff][..]), 1000), Ok(None));
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V31), Just(Version::V311), Just(Version::V5)]
}

/// Bytes that look like packets: a real type and a right length before anything.
fn packet_like() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), prop::collection::vec(any::<u8>(), 0..120))
        .prop_map(|(first, body)| [&[first, body.len() as u8][..], &body].concat())
}

proptest! {
    #[test]
    fn any_bytes_end_in_packets_or_in_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300), version in version()) {
        prop_assert!(decode_all(&bytes, Some(version), 1000).unwrap_or(0) <= bytes.len() / 2);
        prop_assert!(decode_all(&bytes, None, 1000).unwrap_or(0) <= bytes.len() / 2);
    }

    #[test]
    fn so_do_bytes_that_look_like_packets(packets in prop::collection::vec(packet_like(), 1..5), version in version()) {
        prop_assert!(decode_all(&packets.concat(), Some(version), 1000).unwrap_or(0) <= packets.len());
    }

    #[test]
    fn so_does_a_connect_with_anything_behind_it(level in 0u8..7, flags: u8, rest in prop::collection::vec(any::<u8>(), 0..100)) {
        drop(connect(&connect_bytes("MQTT", level, flags, &rest)));
        drop(connect(&connect_bytes("MQIsdp", level, flags, &rest)));
    }

    #[test]
    fn a_stream_cut_anywhere_is_the_same_packets(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..5), cut: prop::sample::Index) {
        let mut bytes = BytesMut::new();
        for payload in &payloads {
            let message = Message { topic: "t".into(), payload: payload.clone().into(), retained: false };
            publish(Version::V311, &message, &mut bytes);
        }
        let cut = cut.index(bytes.len());
        let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
        for part in [&bytes[..cut], &bytes[cut..]] {
            buffer.extend_from_slice(part);
            while let Some(frame) = next_frame(&mut buffer, 1000).unwrap() {
                let Packet::Publish(publish) = decode(frame, Version::V311).unwrap() else { panic!() };
                found.push(publish.payload.to_vec());
            }
        }
        prop_assert_eq!(found, payloads);
    }

    #[test]
    fn the_codec_of_rumqttc_reads_what_we_write(topic in "[a-z/]{1,40}", payload in prop::collection::vec(any::<u8>(), 0..20_000), retained: bool, id in 1u16.., granted in prop::collection::vec(any::<bool>(), 1..10)) {
        let message = Message { topic: topic.clone().into(), payload: payload.clone().into(), retained };
        let mut bytes = BytesMut::new();
        publish(Version::V311, &message, &mut bytes);
        bytes.extend_from_slice(&suback(Version::V311, id, &granted));
        bytes.extend_from_slice(&unsuback(Version::V311, id, &granted));
        bytes.extend_from_slice(&connack(Version::V311, Err(Refusal::BadCredentials), 1000, None));
        bytes.extend_from_slice(&ping_response());
        let mut read = || old::Packet::read(&mut bytes, 1 << 20).unwrap();
        let old::Packet::Publish(theirs) = read() else { panic!() };
        prop_assert_eq!((&theirs.topic, &theirs.payload[..], theirs.retain), (&topic, &payload[..], retained));
        let old::Packet::SubAck(ack) = read() else { panic!() };
        prop_assert_eq!((ack.pkid, ack.return_codes.len()), (id, granted.len()));
        let old::Packet::UnsubAck(ack) = read() else { panic!() };
        prop_assert_eq!(ack.pkid, id);
        let old::Packet::ConnAck(ack) = read() else { panic!() };
        prop_assert_eq!(ack.code, old::ConnectReturnCode::BadUserNamePassword);
        assert_eq!((read(), bytes.len()), (old::Packet::PingResp, 0));

        publish(Version::V5, &message, &mut bytes);
        bytes.extend_from_slice(&suback(Version::V5, id, &granted));
        bytes.extend_from_slice(&unsuback(Version::V5, id, &granted));
        bytes.extend_from_slice(&connack(Version::V5, Ok(()), 1000, Some("given")));
        bytes.extend_from_slice(&disconnect(Version::V5, 0x87).unwrap());
        let mut read = || new::Packet::read(&mut bytes, None).unwrap();
        let new::Packet::Publish(theirs) = read() else { panic!() };
        prop_assert_eq!((&theirs.topic[..], &theirs.payload[..], theirs.retain), (topic.as_bytes(), &payload[..], retained));
        let new::Packet::SubAck(ack) = read() else { panic!() };
        prop_assert_eq!((ack.pkid, ack.return_codes.len()), (id, granted.len()));
        let new::Packet::UnsubAck(ack) = read() else { panic!() };
        prop_assert_eq!((ack.pkid, ack.reasons.len()), (id, granted.len()));
        let new::Packet::ConnAck(ack) = read() else { panic!() };
        let properties = ack.properties.unwrap();
        prop_assert_eq!(ack.code, new::ConnectReturnCode::Success);
        prop_assert_eq!((properties.max_packet_size, properties.max_qos), (Some(1000), Some(0)));
        prop_assert_eq!(properties.assigned_client_identifier.as_deref(), Some("given"));
        let new::Packet::Disconnect(end) = read() else { panic!() };
        prop_assert_eq!(end.reason_code, new::DisconnectReasonCode::NotAuthorized);
    }
}

#[test]
fn every_prefix_of_good_packets_is_harmless() {
    let good: Bytes =
        [&[0x82, 6, 0, 1, 0, 1, b'a', 0][..], &[0xa2, 5, 0, 1, 0, 1, b'a'], &[0xc0, 0], &[0xe0, 0]]
            .concat()
            .into();
    assert_eq!(decode_all(&good, Some(Version::V311), 100), Ok(4));
    for end in 0..good.len() {
        assert!(decode_all(&good[..end], Some(Version::V311), 100).is_ok());
    }
}
