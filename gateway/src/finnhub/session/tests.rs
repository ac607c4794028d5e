//! Sequences of events, written down as tables.

use proptest::prelude::*;
use tickberry_wire::json::FeedState;
use tickberry_wire::{GapReason, Symbol};

use super::*;

fn symbols(names: &[&str]) -> Vec<Symbol> {
    names.iter().map(|name| Symbol::new(name).unwrap()).collect()
}

fn session() -> Session {
    Session::new(SessionSettings { symbols: symbols(&["A", "B"]), ..SessionSettings::default() }, 0)
}

fn trades(session: &mut Session, now: u64) -> Vec<Action> {
    session.frame(FrameKind::Trades, symbols(&["A"]).iter(), now)
}

fn ping(session: &mut Session, now: u64) -> Vec<Action> {
    session.frame(FrameKind::Other, [].into_iter(), now)
}

/// Connects, subscribed at `now`.
fn up(session: &mut Session, now: u64) {
    assert_eq!(session.tick(now, 1.0), [Action::Connect]);
    assert_eq!(session.connected(now), [Action::Subscribe(symbols(&["A", "B"]))]);
}

#[test]
fn from_the_start_to_trades_and_quiet_and_back() {
    let mut session = session();
    assert_eq!((session.state(), session.deadline()), (FeedState::Connecting, 0));
    up(&mut session, 10);
    assert_eq!(session.state(), FeedState::Subscribing);
    assert_eq!(trades(&mut session, 100), [Action::Resumed { lost_at: None, reason: GapReason::Start }]);
    assert_eq!(trades(&mut session, 200), []);
    assert_eq!((session.state(), session.since(), session.deadline()), (FeedState::Live, 100, 60_200));
    assert_eq!(session.tick(60_199, 0.5), []);
    assert_eq!(session.state(), FeedState::Live);
    assert_eq!(session.tick(60_200, 0.5), []);
    assert_eq!((session.state(), session.since()), (FeedState::Quiet, 60_200));
    ping(&mut session, 100_000);
    assert_eq!((session.state(), session.deadline()), (FeedState::Quiet, 250_000));
    trades(&mut session, 110_000);
    assert_eq!((session.state(), session.since(), session.message()), (FeedState::Live, 110_000, None));
}

#[test]
fn a_ping_alone_makes_a_subscribed_feed_quiet() {
    let mut session = session();
    up(&mut session, 0);
    ping(&mut session, 5);
    assert_eq!(session.state(), FeedState::Quiet);
}

#[test]
fn a_silent_connection_is_closed_and_the_gap_runs_from_the_last_frame() {
    let mut session = session();
    up(&mut session, 0);
    trades(&mut session, 1_000);
    ping(&mut session, 30_000);
    session.tick(61_000, 1.0);
    assert_eq!(session.deadline(), 180_000);
    assert_eq!(session.tick(180_000, 1.0), [Action::Close]);
    assert_eq!((session.state(), session.deadline()), (FeedState::Stalled, 180_500));
    assert!(session.message().unwrap().contains("150 s"));
    up(&mut session, 180_500);
    assert_eq!(
        ping(&mut session, 181_000),
        [Action::Resumed { lost_at: Some(30_000), reason: GapReason::Stall }]
    );
    assert_eq!((session.state(), session.message()), (FeedState::Quiet, None));
}

#[test]
fn a_connection_that_never_speaks_stalls_too() {
    let mut session = session();
    up(&mut session, 0);
    assert_eq!(session.deadline(), 150_000);
    assert_eq!(session.tick(150_000, 1.0), [Action::Close]);
}

#[test]
fn delays_grow_until_a_healthy_spell() {
    let mut session = session();
    let mut now = 0;
    let mut delays = Vec::new();
    for spell in [2_000, 2_000, 59_999, 2_000, 60_000, 2_000] {
        up(&mut session, now);
        trades(&mut session, now);
        trades(&mut session, now + spell);
        now += spell;
        assert_eq!(session.closed("bye", now, 1.0), []);
        assert_eq!(session.state(), FeedState::BackingOff);
        delays.push(session.deadline() - now);
        now = session.deadline();
    }
    assert_eq!(delays, [500, 1_000, 2_000, 4_000, 500, 1_000]);
}

#[test]
fn an_attempt_without_answer_backs_off_too() {
    let mut session = session();
    let mut now = 0;
    let mut delays = Vec::new();
    for failure in [Handshake::Failed("timed out".into()), Handshake::Status(524), Handshake::Status(200)] {
        session.tick(now, 1.0);
        session.handshake_failed(&failure, now, 1.0);
        assert_eq!(session.state(), FeedState::BackingOff);
        delays.push(session.deadline() - now);
        now = session.deadline();
    }
    assert_eq!(delays, [500, 1_000, 2_000]);
    assert!(session.message().unwrap().contains("HTTP 200"));
}

#[test]
fn a_refused_token_is_tried_again_slowly_and_for_ever() {
    let mut session = session();
    let mut now = 0;
    for _ in 0..100 {
        assert_eq!(session.tick(now, 0.0), [Action::Connect]);
        session.handshake_failed(&Handshake::Status(401), now, 0.0);
        assert_eq!((session.state(), session.deadline()), (FeedState::Refused, now + 300_000));
        assert!(session.message().unwrap().contains("refuses the token (HTTP 401)"));
        now = session.deadline();
    }
    up(&mut session, now);
    trades(&mut session, now + 1);
    assert_eq!((session.state(), session.message()), (FeedState::Live, None));
}

#[test]
fn a_token_revoked_in_between_names_the_gap() {
    let mut session = session();
    up(&mut session, 0);
    trades(&mut session, 5_000);
    session.closed("bye", 6_000, 1.0);
    session.tick(6_500, 1.0);
    session.handshake_failed(&Handshake::Status(401), 6_500, 0.0);
    up(&mut session, 306_500);
    assert_eq!(
        trades(&mut session, 306_600),
        [Action::Resumed { lost_at: Some(5_000), reason: GapReason::Refused }]
    );
}

#[test]
fn a_second_connection_on_the_key_waits_long() {
    let mut session = session();
    let mut now = 0;
    let mut delays = Vec::new();
    for attempt in 0..5 {
        session.tick(now, 0.0);
        if attempt % 2 == 0 {
            session.connected(now);
            trades(&mut session, now + 10);
            session.closed("reset", now + 999, 0.0);
            now += 999;
        } else {
            session.handshake_failed(&Handshake::Status(429), now, 0.0);
        }
        assert_eq!(session.state(), FeedState::Surplus);
        assert!(session.message().unwrap().contains("another process"));
        delays.push(session.deadline() - now);
        now = session.deadline();
    }
    assert_eq!(delays, [60_000, 120_000, 240_000, 300_000, 300_000]);
}

#[test]
fn what_comes_late_from_a_closed_connection_is_ignored() {
    let mut session = session();
    up(&mut session, 0);
    trades(&mut session, 5_000);
    session.closed("bye", 6_000, 1.0);
    let before = (session.state(), session.deadline());
    assert_eq!(trades(&mut session, 6_001), []);
    assert_eq!(session.closed("bye", 6_002, 1.0), []);
    assert_eq!((session.state(), session.deadline()), before);
}

#[test]
fn the_symbols_beyond_the_limit_are_the_last_ones_never_heard() {
    let names = ["A", "B", "C", "D", "E"];
    let settings = SessionSettings { symbols: symbols(&names), ..SessionSettings::default() };
    let mut session = Session::new(settings, 0);
    session.tick(0, 0.0);
    session.connected(0);
    for _ in 0..2 {
        session.frame(FrameKind::TooManySymbols, [].into_iter(), 10);
    }
    session.frame(FrameKind::Trades, symbols(&["A", "C", "E"]).iter(), 20);
    assert!(session.message().unwrap().contains("2 too many"));
    session.frame(FrameKind::Trades, symbols(&["A"]).iter(), 59_000);
    // B and D were never heard, and two were refused.
    assert_eq!(session.deadline(), 60_010);
    let left_out = Action::LeftOut { symbols: symbols(&["D", "B"]), since: 0 };
    assert_eq!(session.tick(60_010, 0.0), [left_out]);
    assert!(session.is_left_out(&symbols(&["B"])[0]) && !session.is_left_out(&symbols(&["A"])[0]));
    assert!(session.message().unwrap().contains("leaves out 2 of the 5 configured symbols (B, D)"));
    // B is heard after all.
    assert_eq!(
        session.frame(FrameKind::Trades, symbols(&["B"]).iter(), 70_000),
        [Action::LeftOut { symbols: symbols(&["D", "B"]), since: 60_010 }]
    );
    assert_eq!(
        session.closed("bye", 80_000, 0.0),
        [Action::LeftOut { symbols: symbols(&["D"]), since: 70_000 }]
    );
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Connected,
    Refused(u16),
    Trades,
    Ping,
    TooMany,
    Closed,
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Connected),
        1 => prop_oneof![Just(401u16), Just(403), Just(429), Just(500)].prop_map(Event::Refused),
        3 => Just(Event::Trades),
        2 => Just(Event::Ping),
        1 => Just(Event::TooMany),
        2 => Just(Event::Closed),
        5 => prop_oneof![0u64..2_000, 0u64..400_000].prop_map(Event::Wait),
    ]
}

proptest! {
    /// Whatever happens: never two connections, never an attempt sooner than a quarter second after the last, each
    /// time of deafness told exactly once, and always a next step (nothing waits for ever).
    #[test]
    fn invariants_hold_over_any_sequence(events in prop::collection::vec((event(), 0.0f64..1.0), 0..200)) {
        let mut session = session();
        let (mut now, mut last_attempt) = (0u64, None::<u64>);
        let (mut connecting, mut open, mut deaf) = (false, false, true);
        for (event, random) in events {
            let mut actions = match event {
                Event::Connected if connecting => { (connecting, open) = (false, true); session.connected(now) }
                Event::Refused(status) if connecting => {
                    connecting = false;
                    session.handshake_failed(&Handshake::Status(status), now, random);
                    Vec::new()
                }
                Event::Trades if open => trades(&mut session, now),
                Event::Ping if open => ping(&mut session, now),
                Event::TooMany if open => session.frame(FrameKind::TooManySymbols, [].into_iter(), now),
                Event::Closed if open => { (open, deaf) = (false, true); session.closed("x", now, random) }
                Event::Wait(time) => { now += time; Vec::new() }
                _ => Vec::new(),
            };
            actions.extend(session.tick(now, random));
            for action in actions {
                match action {
                    Action::Connect => {
                        prop_assert!(!connecting && !open);
                        prop_assert!(last_attempt.is_none_or(|last| now >= last + 250));
                        (connecting, last_attempt) = (true, Some(now));
                    }
                    Action::Close => { prop_assert!(open); (open, deaf) = (false, true); }
                    Action::Resumed { lost_at, .. } => {
                        prop_assert!(deaf && lost_at.is_none_or(|lost| lost <= now));
                        deaf = false;
                    }
                    Action::Subscribe(all) => prop_assert_eq!(all.len(), 2),
                    Action::LeftOut { since, .. } => prop_assert!(since <= now),
                }
            }
            prop_assert!(connecting || session.deadline() < u64::MAX);
            prop_assert!(connecting || session.deadline() > now);
        }
    }
}
