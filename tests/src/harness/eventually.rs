//! Waiting for a condition instead of for a time.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Asks `condition` until it gives a value, at most for `deadline`; what it said last is in the error.
pub async fn eventually<T, F>(deadline: Duration, what: &str, mut condition: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<T>,
{
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        let last = match condition().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if start.elapsed() >= deadline {
            bail!("not within {deadline:?}: {what}; at last: {last:#}");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_the_value_or_the_last_reason() {
        let mut asked = 0;
        let value = eventually(Duration::from_secs(5), "three", async || {
            asked += 1;
            if asked < 3 { bail!("only {asked}") } else { Ok(asked) }
        });
        assert_eq!(value.await.unwrap(), 3);
        let never = eventually(Duration::from_millis(20), "never", async || -> Result<()> { bail!("why") });
        let words = never.await.unwrap_err().to_string();
        assert!(words.contains("never") && words.contains("why"), "{words}");
    }
}
