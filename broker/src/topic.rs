//! Topic names and filters: what is allowed, what matches, what covers.

pub(crate) use tickberry_wire::topic::ROOT;

/// Longer names are refused; a symbol of 64 bytes, percent-encoded, fits.
pub(crate) const MAX_TOPIC: usize = 512;

/// A name a service may publish to: printable ASCII below the root, without wildcards. ASCII only because the router
/// indexes the first *byte* of a topic as a character and dies of one that is not.
pub(crate) fn is_publishable(topic: &[u8]) -> bool {
    let below = topic.strip_prefix(ROOT.as_bytes()).and_then(|rest| rest.strip_prefix(b"/"));
    below.is_some_and(|rest| !rest.is_empty())
        && topic.len() <= MAX_TOPIC
        && topic.iter().all(|b| matches!(b, 0x20..=0x7e) && !matches!(b, b'+' | b'#'))
}

/// A filter as the specification wants it: `+` alone in its level, `#` alone in the last one; and none of the `$` ones,
/// which either do not exist here (`$SYS`) or would promise what we do not do (`$share`).
pub(crate) fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let wild = level.contains(['+', '#']);
        if wild && (level.len() > 1 || (level == "#" && levels.peek().is_some())) {
            return false;
        }
    }
    !filter.is_empty() && filter.len() <= MAX_TOPIC && !filter.starts_with('$') && !filter.contains('\0')
}

/// Whether a filter selects a topic.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (literal, Some(name)) if literal == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

/// Whether everything the filter `inner` could select is also selected by `outer`.
pub(crate) fn covers(outer: &str, inner: &str) -> bool {
    let mut inner = inner.split('/');
    for level in outer.split('/') {
        match (level, inner.next()) {
            ("#", _) => return true,
            ("+", Some(name)) if name != "#" => {}
            (literal, Some(name)) if literal == name && literal != "+" => {}
            _ => return false,
        }
    }
    inner.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishable_topics_are_ascii_below_the_root() {
        for good in ["tickberry/v1/trades/finnhub/BINANCE:BTCUSDT", "tickberry/v1/x"] {
            assert!(is_publishable(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "tickberry/v1",
            "tickberry/v1/",
            "tickberry/v10/x",
            "other/x",
            "é/x",
            "tickberry/v1/é",
            "tickberry/v1/+",
            "tickberry/v1/#",
            "$SYS/x",
            "tickberry/v1/\0",
            "tickberry/v1/a\n",
        ] {
            assert!(!is_publishable(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn filters_follow_the_specification() {
        for good in ["#", "+", "a/#", "+/b/+", "/", "a//b", "/a", "a/+/#"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a#", "#/a", "a/#/b", "a+", "a/b+/c", "$SYS/#", "$share/g/a", "a\0"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn matching_follows_the_specification() {
        for (filter, topic, expected) in [
            ("#", "a/b", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("+", "a", true),
            ("+", "a/b", false),
            ("+/+", "/a", true),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a/b/d", false),
            ("a/b", "a/b", true),
            ("a/b", "a", false),
            ("a", "a/b", false),
            ("a/+", "a", false),
            ("a/+", "a/", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn covering_is_about_filters() {
        for (outer, inner, expected) in [
            ("t/#", "t/#", true),
            ("t/#", "t/a/+", true),
            ("t/#", "#", false),
            ("t/#", "+/a", false),
            ("t/+/a", "t/+/a", true),
            ("t/+", "t/#", false),
            ("t/a", "t/a", true),
            ("t/a", "t/+", false),
        ] {
            assert_eq!(covers(outer, inner), expected, "{outer} {inner}");
        }
    }
}
