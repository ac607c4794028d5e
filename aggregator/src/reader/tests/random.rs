//! Whatever happens on the way, the same records arrive.

use super::world::{World, records};
use crate::records::Records;
use proptest::prelude::*;
use tickberry_wire::Body;

#[derive(Clone, Debug)]
enum Event {
    Trades(u64),
    Flush,
    Crash(usize),
    Overwrite(usize),
    Damage(prop::sample::Index),
    Restore(prop::sample::Index),
    Deliver(usize),
    Double(usize),
    Drop(usize),
    Answer(u8),
    FailFetch,
    Tell,
    Pass(u64),
    BusDown,
    BusUp,
    Restart,
}

fn event(lies: bool) -> impl Strategy<Value = Event> {
    use Event::*;
    prop_oneof![
        20 => (1_u64..5).prop_map(Trades),
        8 => Just(Flush),
        3 => (0_usize..4).prop_map(Crash),
        1 => (1_usize..6).prop_map(Overwrite),
        1 => any::<prop::sample::Index>().prop_map(Damage),
        u32::from(lies) + 1 => any::<prop::sample::Index>().prop_map(move |index| if lies { Restore(index) } else { Flush }),
        // Mostly the oldest message, sometimes another one.
        24 => Just(Deliver(0)),
        6 => (0_usize..20).prop_map(Deliver),
        4 => (0_usize..20).prop_map(Double),
        4 => (0_usize..3).prop_map(Drop),
        20 => (1_u8..6).prop_map(Answer),
        3 => Just(FailFetch),
        4 => Just(Tell),
        10 => (0_u64..2000).prop_map(Pass),
        1 => Just(BusDown),
        2 => Just(BusUp),
        1 => Just(Restart),
    ]
}

fn happen(world: &mut World, event: &Event) {
    match event {
        Event::Trades(count) => world.trades(*count),
        Event::Flush => world.flush(),
        Event::Crash(survivors) => world.crash(*survivors),
        Event::Overwrite(batches) => world.overwrite(*batches),
        Event::Damage(index) => world.damage(index.index(world.journal.len())),
        Event::Restore(index) => world.restore(index.index(world.journal.len())),
        Event::Deliver(index) => world.deliver(*index, false),
        Event::Double(index) => world.deliver(*index, true),
        Event::Drop(index) => {
            if *index < world.bus.len() {
                world.bus.remove(*index);
            }
        }
        Event::Answer(items) => {
            for _ in 0..*items {
                world.answer();
            }
        }
        Event::FailFetch => world.fail_fetch(),
        Event::Tell => world.tell(),
        Event::Pass(ms) => world.pass(*ms),
        Event::BusDown => world.reader.bus_down(world.now),
        Event::BusUp => {
            let orders = world.reader.bus_up();
            world.obey(orders);
        }
        Event::Restart => world.restart(),
    }
}

/// All offsets, with the epoch of each that is not lost.
fn offsets(batches: &[Records]) -> Vec<(u64, u64)> {
    let kept = batches.iter().filter(|batch| !matches!(batch.body(), Some(Body::Lost { .. })));
    let heads = kept.map(Records::head);
    heads
        .flat_map(|head| (head.first_offset..head.end_offset()).map(|offset| (offset, head.epoch.get())))
        .collect()
}

/// What was handed on as durable is the journal, but for what can no longer be had.
fn assert_complete(world: &World) {
    let taken = offsets(&world.taken.durable);
    let is_hole = |offset: u64| world.holes.iter().any(|(from, end)| (*from..*end).contains(&offset));
    let told: Vec<_> = taken.iter().filter(|(offset, _)| !is_hole(*offset)).copied().collect();
    let truth = offsets(&world.journal.iter().map(records).collect::<Vec<_>>());
    let truth: Vec<_> = truth.into_iter().filter(|(offset, _)| !is_hole(*offset)).collect();
    assert_eq!(told, truth);
    assert!(world.reader.is_live());
    assert_eq!(world.taken.end, world.head());
}

fn assert_lively(world: &mut World) {
    let (fetches, next) = (world.fetches, world.head());
    world.trades(3);
    world.deliver(0, false);
    assert_eq!(world.taken.next(), next + 3, "a live batch is handed on at once");
    assert_eq!(world.fetches, fetches);
    world.flush();
    world.deliver(0, false);
    assert_eq!(world.taken.end, next + 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_same_records_arrive_whatever_the_bus_does(events in prop::collection::vec(event(false), 1..250)) {
        let mut world = World::new();
        events.iter().for_each(|event| happen(&mut world, event));
        world.heal();
        prop_assert_eq!(world.taken.breaks, 0);
        assert_complete(&world);
        assert_lively(&mut world);
    }

    #[test]
    fn a_journal_that_was_put_back_is_noticed_or_fits(events in prop::collection::vec(event(true), 1..150)) {
        let mut world = World::new();
        events.iter().for_each(|event| happen(&mut world, event));
        world.heal();
        prop_assert!(world.reader.is_live());
        prop_assert_eq!(world.taken.end, world.head());
        assert_lively(&mut world);
    }
}
