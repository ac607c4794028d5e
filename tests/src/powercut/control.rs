//! The negative control: a disk that lies about flushes.
