//! What a server's answers mean. Pure: status and text go in.

use crate::StoreError;

/// An answer: status and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
    /// The server's clock, where it says it.
    pub(super) date_ms: Option<i64>,
}

/// What became of the lines of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// All are written.
    Taken,
    /// All are written but so many, which are older than the bucket keeps anything.
    Expired(u64),
    /// At least one of them is refused for what it is.
    Wrong(String),
}

/// What the answer to a write means. Whatever is no matter of the lines is an error.
pub(super) fn of_write(url: &str, bucket: &str, status: u16, text: &str) -> Result<Said, StoreError> {
    match status {
        204 => Ok(Said::Taken),
        // Where both happened, the conflict is told; then the search finds out.
        422 if text.contains("outside retention policy") && !text.contains("field type conflict") => {
            Ok(Said::Expired(dropped(text)))
        }
        400 | 413 | 422 => Ok(Said::Wrong(format!("{status}: {}", message(text)))),
        _ => Err(trouble(url, bucket, status, text)),
    }
}

/// What an answer means that should have been a good one.
pub(super) fn trouble(url: &str, bucket: &str, status: u16, text: &str) -> StoreError {
    let (url, words) = (url.to_owned(), message(text));
    match status {
        401 | 403 => StoreError::Refused {
            url,
            detail: format!("{status}, the token may not use bucket {bucket:?} ({words})"),
            remedy: "give a token that reads and writes it as INFLUXDB_TOKEN_FILE; \
                     `tickberry setup influxdb` makes one"
                .into(),
        },
        404 => StoreError::Refused {
            url,
            detail: format!("404, no bucket {bucket:?} ({words})"),
            remedy: "make it with `tickberry setup influxdb`, or correct org, bucket or minutes_bucket"
                .into(),
        },
        _ => StoreError::Away { url, detail: format!("it answers {status}: {words}") },
    }
}

/// The server's words: its JSON's `message`, or the beginning of the text.
pub(super) fn message(text: &str) -> String {
    const MOST: usize = 300;
    let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let said =
        json.as_ref().and_then(|json| ["message", "error"].iter().find_map(|key| json.get(*key)?.as_str()));
    said.unwrap_or(text).trim().chars().take(MOST).collect()
}

/// How many points a partial write left out; at least one.
fn dropped(text: &str) -> u64 {
    let tail = text.rsplit_once("dropped=").map_or("", |(_, tail)| tail);
    let digits: String = tail.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<u64>().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn every_answer_has_a_meaning() {
        // As 2.9.1 says it.
        let expired = r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: dropped 3 points outside retention policy of duration 168h0m0s - oldest point m at 1970-01-01T00:00:00.000001Z dropped because it violates a Retention Policy Lower Bound at 2026-11-22T03:17:40.90173953Z dropped=3 for database: 0fd4fbb30e6da464 for retention policy: autogen"}"#;
        let conflict = r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"price\" on measurement \"trades\" is type float, already exists as type integer dropped=1"}"#;
        let of = |status, text: &str| of_write("http://h:1", "trades", status, text);
        assert_eq!(of(204, "").unwrap(), Said::Taken);
        assert_eq!(of(422, expired).unwrap(), Said::Expired(3));
        for (status, text) in [(422, conflict), (400, "unable to parse"), (413, "")] {
            assert!(matches!(of(status, text).unwrap(), Said::Wrong(_)), "{status}");
        }
        for (status, kind, words) in [
            (200, ErrorKind::Away, "answers 200"),
            (307, ErrorKind::Away, "answers 307"),
            (401, ErrorKind::Refused, "the token may not use bucket \"trades\""),
            (403, ErrorKind::Refused, "the token"),
            (404, ErrorKind::Refused, "no bucket \"trades\""),
            (429, ErrorKind::Away, "429"),
            (500, ErrorKind::Away, "500"),
            (503, ErrorKind::Away, "503"),
        ] {
            let error = of(status, r#"{"code":"x","message":"words"}"#).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.is_transient());
            assert!(error.to_string().contains(words) && error.to_string().contains("words"), "{error}");
        }
    }

    #[test]
    fn counts_and_words() {
        assert_eq!(dropped("dropped=12 for database"), 12);
        assert_eq!(dropped("outside retention policy"), 1);
        assert_eq!(message("<html>"), "<html>");
        assert_eq!(message(r#"{"error":"e"}"#), "e");
    }
}
