//! The ways a connection ends.

use crate::codec::Malformed;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    /// `will`: publish the will all the same.
    #[error("the client said goodbye")]
    Goodbye { will: bool },
    #[error("the other side closed or reset the connection")]
    Lost,
    #[error("nothing heard for one and a half keep-alives")]
    KeepAlive,
    #[error("the client takes nothing of what waits for it")]
    Stalled,
    #[error(transparent)]
    Malformed(Malformed),
    #[error("forbidden: {0}")]
    Forbidden(&'static str),
    #[error("a newer connection of the same client took over")]
    TakenOver,
    #[error("the broker is stopping")]
    Shutdown,
    #[error("the router is gone")]
    Router,
}

impl End {
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            End::Goodbye { .. } => "goodbye",
            End::Lost => "lost",
            End::KeepAlive => "keep_alive",
            End::Stalled => "stalled",
            End::Malformed(_) => "malformed",
            End::Forbidden(_) => "forbidden",
            End::TakenOver => "taken_over",
            End::Shutdown => "shutdown",
            End::Router => "router",
        }
    }

    /// Whether the client's will stays unpublished.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, End::Goodbye { will: false } | End::Shutdown | End::Router)
    }

    /// MQTT 5's reason code, for the ends that are our decision.
    pub(crate) fn code(&self) -> Option<u8> {
        match self {
            End::Goodbye { .. } | End::Lost | End::Stalled => None,
            End::KeepAlive => Some(0x8d),
            End::Malformed(Malformed::TooLarge(_)) => Some(0x95),
            End::Malformed(_) => Some(0x81),
            End::Forbidden(_) => Some(0x87),
            End::TakenOver => Some(0x8e),
            End::Shutdown | End::Router => Some(0x8b),
        }
    }
}
