//! A batch on its way through an aggregator: decoded once, into the columns that the fold takes and rows are made of.

use tickberry_wire::{Batch, Body, Columns, DecodeError, EncodeError, Head, decode_columns};

/// Consecutive records of one source. In a box, since it goes from hand to hand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records(Box<Decoded>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Decoded {
    columns: Columns,
    /// What is no trade.
    body: Option<Body>,
}

impl Records {
    /// What the batch is about.
    pub fn head(&self) -> &Head {
        self.0.columns.head()
    }

    /// The trades; with any other body there are none.
    pub fn columns(&self) -> &Columns {
        &self.0.columns
    }

    /// The body, if it is not trades.
    pub fn body(&self) -> Option<&Body> {
        self.0.body.as_ref()
    }

    /// Bytes of memory it takes, about.
    pub fn bytes(&self) -> usize {
        size_of::<Decoded>() + self.0.columns.heap_bytes()
    }
}

/// For who has a batch of one message's size at hand that was never encoded.
impl TryFrom<&Batch> for Records {
    type Error = EncodeError;

    fn try_from(batch: &Batch) -> Result<Self, EncodeError> {
        let body = Some(&batch.body).filter(|body| !matches!(body, Body::Trades(_))).cloned();
        Ok(Self(Box::new(Decoded { columns: Columns::from_batch(batch)?, body })))
    }
}

/// Records kept for a next batch, about as many as a feed sends in the second that a batch waits for its commit.
const SPARE: usize = 64;
/// Larger ones, of a burst, are not kept.
const SPARE_BYTES: usize = 16 << 10;

/// Decodes one batch after the other. Buffers go round: those of [`Decoder::recycle`] are used again, with the texts of
/// their symbols, so that in the long run nothing is allocated for a batch.
#[derive(Debug, Default)]
pub struct Decoder {
    spare: Vec<Records>,
    /// What is copied where there is no spare: its symbols are known.
    last: Records,
}

impl Decoder {
    /// Decodes a batch.
    ///
    /// # Errors
    /// As [`tickberry_wire::decode`].
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Records, DecodeError> {
        match self.spare.pop() {
            Some(mut records) => {
                records.0.body = decode_columns(bytes, &mut records.0.columns)?;
                Ok(records)
            }
            None => {
                self.last.0.body = decode_columns(bytes, &mut self.last.0.columns)?;
                Ok(self.last.clone())
            }
        }
    }

    /// Takes buffers back.
    pub fn recycle(&mut self, used: &mut Used) {
        if self.spare.is_empty() {
            std::mem::swap(&mut self.spare, &mut used.0);
        }
    }
}

/// Records that have been folded, until a decoder takes their buffers back; where none does, they are few.
#[derive(Debug, Default)]
pub struct Used(Vec<Records>);

impl Used {
    /// Keeps what was used, if there is room.
    pub fn push(&mut self, records: Records) {
        if self.0.len() < SPARE && records.bytes() <= SPARE_BYTES {
            self.0.push(records);
        }
    }
}
