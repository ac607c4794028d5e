//! Single cases.

use super::world::{World, records};
use crate::reader::{JournalHead, Order, Reader};
use std::time::{Duration, Instant};
use tickberry_wire::Epoch;

/// A reader that has caught up with three batches.
fn caught_up() -> World {
    let mut world = World::new();
    world.trades(2);
    world.trades(3);
    world.heal();
    assert!(world.reader.is_live());
    world
}

#[test]
fn a_first_start_begins_where_the_journal_begins() {
    let mut world = World::new();
    world.trades(5);
    world.flush();
    world.overwrite(1);
    world.bus.clear();
    world.pass(0);
    world.drain();
    assert_eq!((world.taken.durable[0].head().first_offset, world.taken.end), (1, 6));
    assert!(world.taken.lost.is_empty());
}

#[test]
fn a_hole_on_the_bus_is_read_from_the_journal_and_the_live_stream_joined() {
    let mut world = caught_up();
    world.trades(2);
    world.bus.clear();
    world.flush();
    world.trades(1);
    world.deliver(1, false);
    assert!(!world.reader.is_live());
    world.drain();
    assert!(world.reader.is_live());
    assert_eq!((world.taken.end, world.taken.next()), (8, 9));
}

#[test]
fn a_hole_that_is_not_durable_yet_waits_for_the_flush() {
    let mut world = caught_up();
    world.trades(2);
    world.bus.clear();
    world.trades(1);
    world.deliver(0, false);
    world.drain();
    assert!(!world.reader.is_live());
    assert_eq!(world.taken.next(), 6);
    world.flush();
    world.deliver(0, false);
    world.drain();
    assert!(world.reader.is_live(), "the commit says that there is more to read");
    assert_eq!(world.taken.end, 9);
}

#[test]
fn doubled_and_old_batches_change_nothing() {
    let mut world = caught_up();
    world.trades(2);
    world.deliver(0, true);
    world.deliver(0, true);
    world.deliver(0, false);
    assert_eq!((world.taken.end, world.taken.next(), world.taken.overlay.len()), (6, 8, 1));
}

#[test]
fn the_overlay_goes_when_its_epoch_ended_first() {
    let mut world = caught_up();
    world.trades(2);
    world.trades(2);
    world.deliver(0, false);
    world.deliver(0, false);
    assert_eq!((world.taken.end, world.taken.next()), (6, 10));
    world.bus.clear();
    world.crash(1);
    world.trades(1);
    world.deliver(0, false);
    world.drain();
    assert_eq!((world.taken.end, world.taken.overlay.len()), (9, 0), "one batch survived, one did not");
    world.heal();
    assert_eq!(world.taken.end, world.head());
}

#[test]
fn an_epoch_that_follows_on_without_loss_needs_no_reading() {
    let mut world = caught_up();
    let fetches = world.fetches;
    world.crash(0);
    world.trades(1);
    world.deliver(0, false);
    world.deliver(0, false);
    assert_eq!((world.fetches, world.taken.next()), (fetches, 8));
}

#[test]
fn late_messages_of_an_epoch_that_is_over_are_asked_about_once() {
    let mut world = caught_up();
    world.trades(1);
    let late = world.bus.remove(0);
    world.crash(0);
    world.heal();
    let fetches = world.fetches;
    for _ in 0..50 {
        let orders = world.reader.live(records(&late));
        world.obey(orders);
        world.drain();
    }
    assert!(world.fetches <= fetches + 1);
    assert!(world.reader.is_live());
}

#[test]
fn a_range_that_is_gone_is_lost_and_told() {
    let mut world = caught_up();
    for _ in 0..5 {
        world.trades(2);
    }
    world.flush();
    world.bus.clear();
    world.overwrite(5);
    world.tell();
    world.drain();
    assert_eq!(world.taken.lost, [(6, 10)]);
    assert_eq!(world.taken.end, 16);
}

#[test]
fn another_journal_is_noticed() {
    let now = Instant::now();
    let mut world = World::new();
    world.trades(9);
    world.flush();
    for (end, epoch) in [(50, world.epoch), (10, Epoch::new(1, 1)), (1, Epoch::new(1, 1))] {
        world.reader = Reader::new(Some(end), Some((end, epoch)), now);
        world.taken = super::world::Taken { end, ..Default::default() };
        world.bus.clear();
        world.trades(1);
        world.heal();
        assert_eq!(world.taken.breaks, 1, "{end} {epoch}");
        assert_eq!(world.taken.durable.len(), world.journal.len(), "it is read from its beginning");
    }
}

#[test]
fn a_rebuild_proves_the_epoch_at_the_cursor() {
    // Reads again from 0, and what stood at the cursor is of another epoch now.
    let mut world = World::new();
    world.trades(4);
    world.trades(4);
    world.flush();
    world.bus.clear();
    world.reader = Reader::new(Some(0), Some((5, Epoch::new(1, 1))), world.now);
    world.pass(0);
    world.drain();
    assert_eq!(world.taken.breaks, 1);
    world.reader = Reader::new(Some(0), Some((5, world.epoch)), world.now);
    world.taken = super::world::Taken::default();
    world.pass(0);
    world.drain();
    assert_eq!((world.taken.breaks, world.taken.end), (0, 9));
}

#[test]
fn a_journal_that_ends_before_the_cursor_is_another_one() {
    // Read again from 0, so that nothing is asked for that it does not have. Nobody waits until the offsets are given anew.
    let mut world = World::new();
    world.trades(4);
    world.flush();
    world.bus.clear();
    for (end, breaks) in [(world.head() + 1, 1), (world.head(), 0)] {
        world.taken = super::world::Taken::default();
        world.reader = Reader::new(Some(0), Some((end, world.epoch)), world.now);
        world.pass(0);
        world.drain();
        world.pass(200);
        world.drain();
        assert_eq!((world.taken.breaks, world.taken.end), (breaks, world.head()));
        assert!(world.reader.is_live());
    }
}

#[test]
fn a_cursor_beyond_the_journals_end_is_noticed_although_it_reads_again_from_before() {
    // What the store holds was committed in a memory epoch, or on a disk that lied, and is gone.
    let mut world = World::new();
    for _ in 0..4 {
        world.trades(2);
    }
    world.flush();
    world.bus.clear();
    for ring_went_on in [false, true] {
        if ring_went_on {
            world.overwrite(2);
        }
        world.reader = Reader::new(Some(0), Some((50, Epoch::new(1, 1))), world.now);
        world.taken = super::world::Taken::default();
        world.pass(0);
        world.drain();
        world.pass(200);
        world.drain();
        assert_eq!(world.taken.breaks, 1, "{ring_went_on}");
        assert_eq!(world.taken.end, 9, "{ring_went_on}");
    }
}

/// The record before the cursor was lost, so no epoch proves it.
#[test]
fn a_journal_that_ends_before_a_told_loss_is_another_one() {
    let now = Instant::now();
    let mut reader = Reader::new(Some(5), None, now);
    assert!(matches!(*reader.tick(now), [Order::Fetch(5)]));
    let head = JournalHead { epoch: Epoch::new(7, 7), committed: 3 };
    let orders = reader.fetch_ended(Some(head), now);
    assert!(matches!(*orders, [Order::Break(0)]), "{orders:?}");
    assert_eq!(reader.tick(reader.wake_at().unwrap()), [Order::Fetch(0)]);
}

/// A ring that is full of what a disk that hangs has not made durable: nothing in it may be read yet.
#[test]
fn a_journal_that_begins_beyond_what_is_durable_is_not_asked_without_a_pause() {
    let mut now = Instant::now();
    let mut reader = Reader::new(None, None, now);
    let head = JournalHead { epoch: Epoch::new(7, 7), committed: 3 };
    let mut pauses = Vec::new();
    for _ in 0..4 {
        assert_eq!(reader.tick(now), [Order::Fetch(0)]);
        assert_eq!(reader.gone(10), [Order::Fetch(10)]);
        reader.fetch_ended(Some(head), now);
        pauses.push((reader.wake_at().unwrap() - now).as_millis());
        now = reader.wake_at().unwrap();
    }
    assert_eq!(pauses, [200, 400, 800, 1600]);
}

#[test]
fn pauses_grow_to_a_bound_and_begin_anew_after_success() {
    let mut now = Instant::now();
    let mut reader = Reader::new(Some(0), None, now);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(reader.tick(now), [Order::Fetch(0)]);
        reader.fetch_failed(now);
        let wake = reader.wake_at().unwrap();
        assert_eq!(reader.tick(wake - Duration::from_millis(1)), []);
        pauses.push((wake - now).as_millis());
        now = wake;
    }
    assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    reader.tick(now);
    let head = JournalHead { epoch: Epoch::new(1, 1), committed: 0 };
    reader.fetch_ended(Some(head), now);
    assert!(reader.is_live());
    reader.bus_down(now);
    now = reader.wake_at().unwrap();
    reader.tick(now);
    reader.fetch_failed(now);
    assert_eq!((reader.wake_at().unwrap() - now).as_millis(), 200);
}

#[test]
fn while_the_bus_is_away_the_journal_is_asked_now_and_then() {
    let mut world = caught_up();
    world.reader.bus_down(world.now);
    for _ in 0..3 {
        world.trades(1);
        world.flush();
        world.bus.clear();
        world.pass(1000);
        world.drain();
        assert_eq!(world.taken.end, world.head());
    }
    let orders = world.reader.bus_up();
    world.obey(orders);
    world.drain();
    assert!(world.reader.is_live());
}

#[test]
fn what_waits_is_bounded() {
    let mut held = crate::reader::held::Held::default();
    let mut world = World::new();
    for _ in 0..300 {
        world.trades(100);
    }
    for batch in world.bus.drain(..) {
        held.push(records(&batch));
    }
    assert_eq!(held.records(), 20_000);
    assert!(held.take(10_000).is_none(), "the newest are kept");
    assert!(held.take(10_001).is_some());
}

#[test]
fn what_could_not_be_kept_is_delivered_again() {
    let mut world = caught_up();
    world.trades(3);
    world.deliver(0, false);
    world.taken.overlay.clear();
    world.reader.rewind(6, world.now);
    world.heal();
    assert_eq!(world.taken.end, 9);
}

#[test]
fn what_is_held_of_a_dead_epoch_goes_though_another_was_heard_of_since() {
    let mut world = caught_up();
    world.restart();
    let mut late = world.journal.last().unwrap().clone();
    (late.epoch, late.first_offset) = (Epoch::new(3, 3), world.head() + 10);
    let orders = world.reader.live(records(&late));
    world.obey(orders);
    world.crash(0);
    world.tell();
    world.drain();
    world.pass(10_000);
    world.drain();
    assert!(world.reader.is_live(), "{:?}", world.reader);
}
