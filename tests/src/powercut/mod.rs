//! Real power cuts: the real binary in a virtual machine, on a disk whose volatile cache dies with it.
//!
//! ```text
//! feeder ──ws──▶ ┌ virtual machine ─────────────┐
//! (here)         │ tickberry up ─ ext4 ─ virtio │──▶ nbdkit: cache, in memory ──flush──▶ image
//! watch  ◀─MQTT──│                              │
//! (here) ◀─HTTP──└──────────────────────────────┘
//! ```
//!
//! A cut is SIGKILL to both: the machine, and the cache of its disk.  What was flushed is in the image, what was not is gone.
//! [`plan`] says when, from seed and number alone; [`watch`] notes what the gateway reported as committed until that moment;
//! [`verdict`] looks after the next start whether that was true; [`campaign`] plays.  [`control`] does the same with a disk
//! that lies about flushes: that must be noticed.

pub mod campaign;
pub mod control;
pub mod disk;
pub mod guest;
pub mod lab;
pub mod machine;
pub mod plan;
pub mod tally;
pub mod verdict;
pub mod watch;
