//! A trade frame that is not JSON because of one bad token: find its elements by their brackets.
//!
//! Only strings and nesting are looked at. The frame must be whole (a torn one is garbage: what it would have said is
//! not known) and must say that it is a trade frame.

/// Deepest nesting followed.
const MAX_DEPTH: usize = 16;

/// The texts of the elements under `data`, or `None` if this is no whole trade frame.
pub(super) fn elements(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let members = parts(bytes.trim_ascii(), b'{', b'}')?;
    let (mut data, mut is_trade) = (None, false);
    for member in members {
        let colon = value_at(member)?;
        let (key, value) = (member[..colon].trim_ascii(), member[colon + 1..].trim_ascii());
        match key {
            b"\"data\"" if data.is_none() => data = Some(parts(value, b'[', b']')?),
            b"\"type\"" if !is_trade => is_trade = value == b"\"trade\"",
            b"\"data\"" | b"\"type\"" => return None,
            _ => {}
        }
    }
    if is_trade { data } else { None }
}

/// Where the colon behind the key is.
fn value_at(member: &[u8]) -> Option<usize> {
    let mut in_string = false;
    for (at, byte) in member.iter().enumerate() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' => return None,
            b':' if !in_string => return Some(at),
            _ => {}
        }
    }
    None
}

/// Splits `[a,b]` or `{a,b}` at the commas of its own level.
fn parts(text: &[u8], open: u8, close: u8) -> Option<Vec<&[u8]>> {
    let inside = text.strip_prefix(&[open])?.strip_suffix(&[close])?;
    let (mut parts, mut from) = (Vec::new(), 0);
    let mut nesting = [0u8; MAX_DEPTH];
    let mut depth = 0;
    let (mut in_string, mut escaped) = (false, false);
    for (at, byte) in inside.iter().enumerate() {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                *nesting.get_mut(depth)? = if *byte == b'{' { b'}' } else { b']' };
                depth += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                (nesting[depth] == *byte).then_some(())?;
            }
            b',' if depth == 0 => {
                parts.push(inside[from..at].trim_ascii());
                from = at + 1;
            }
            _ => {}
        }
    }
    (depth == 0 && !in_string).then_some(())?;
    let last = inside[from..].trim_ascii();
    if !(parts.is_empty() && last.is_empty()) {
        parts.push(last);
    }
    Some(parts)
}
