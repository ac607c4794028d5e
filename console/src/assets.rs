//! The page's files, compiled in: it works with no network beyond this machine, and page and API
//! cannot be of different versions. Each file is compressed once at start and has an ETag.

use std::hash::{DefaultHasher, Hasher};
use std::io::Write;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// Nothing but our own files: no inline script, no other host.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'";

macro_rules! files {
    ($($path:literal => $file:literal, $kind:expr;)*) => {
        &[$(($path, include_bytes!(concat!("../assets/", $file)), $kind)),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// Where a file is found, its bytes, its type.
type File = (&'static str, &'static [u8], &'static str);

const FILES: &[File] = files! {
    "/" => "index.html", HTML;
    "/assets/style.css" => "style.css", CSS;
    "/assets/app.js" => "app.js", JS;
    "/assets/chart.js" => "chart.js", JS;
    "/assets/csv.js" => "csv.js", JS;
    "/assets/marks.js" => "marks.js", JS;
    "/assets/model.js" => "model.js", JS;
    "/assets/number.js" => "number.js", JS;
    "/assets/panels.js" => "panels.js", JS;
    "/assets/stream.js" => "stream.js", JS;
    "/assets/table.js" => "table.js", JS;
    "/assets/time.js" => "time.js", JS;
    "/assets/words.js" => "words.js", JS;
    "/assets/berry.svg" => "berry.svg", SVG;
    "/assets/uPlot.iife.min.js" => "vendor/uplot-1.6.32/uPlot.iife.min.js", JS;
    "/assets/uPlot.min.css" => "vendor/uplot-1.6.32/uPlot.min.css", CSS;
    "/assets/uPlot.LICENSE" => "vendor/uplot-1.6.32/LICENSE", TEXT;
};

struct Asset {
    kind: &'static str,
    etag: String,
    plain: Bytes,
    gzip: Bytes,
}

/// The routes of the page and its files.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, &(path, bytes, kind)| {
        let asset = Arc::new(Asset::new(bytes, kind));
        router.route(path, get(move |headers: HeaderMap| async move { asset.answer(&headers) }))
    })
}

impl Asset {
    fn new(bytes: &'static [u8], kind: &'static str) -> Asset {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).expect("writing to a Vec does not fail");
        let gzip = encoder.finish().expect("writing to a Vec does not fail");
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        // Weak: the two encodings share it.
        let etag = format!("W/\"{:016x}\"", hasher.finish());
        Asset { kind, etag, plain: Bytes::from_static(bytes), gzip: gzip.into() }
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let text = |name| request.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let headers = [
            (header::ETAG, self.etag.as_str()),
            (header::CACHE_CONTROL, "no-cache"),
            (header::VARY, "accept-encoding"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        if text(header::IF_NONE_MATCH).split(',').any(|tag| tag.trim() == self.etag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let kind = [(header::CONTENT_TYPE, self.kind)];
        if accepts_gzip(text(header::ACCEPT_ENCODING)) {
            let encoding = [(header::CONTENT_ENCODING, "gzip")];
            (headers, kind, encoding, self.gzip.clone()).into_response()
        } else {
            (headers, kind, self.plain.clone()).into_response()
        }
    }
}

fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|part| {
        let (name, quality) = part.split_once(';').unwrap_or((part, ""));
        let refused = matches!(quality.trim().trim_start_matches("q="), "0" | "0.0" | "0.00" | "0.000");
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chart library is as it was published: its digests are written beside it.
    #[test]
    fn nothing_inline_and_nothing_from_elsewhere() {
        for (path, bytes, kind) in FILES.iter().filter(|(path, ..)| !path.contains("uPlot")) {
            let text = std::str::from_utf8(bytes).expect("assets are UTF-8");
            for far in ["http://", "https://", "//cdn", "@import"] {
                let namespaces = text.matches("http://www.w3.org/").count() * usize::from(far == "http://");
                assert_eq!(text.matches(far).count(), namespaces, "{path} mentions {far}");
            }
            if *kind == HTML {
                assert!(!text.contains("<script>") && !text.contains(" style=") && !text.contains("onclick"));
            }
        }
    }

    #[test]
    fn every_file_the_page_names_is_served() {
        for (path, bytes, _) in FILES.iter().filter(|(_, _, kind)| *kind == HTML || *kind == JS) {
            let text = String::from_utf8_lossy(bytes);
            for part in text
                .split(['"', '\''])
                .filter(|part| (part.starts_with("/assets/") || part.starts_with("./")) && part.contains('.'))
            {
                let wanted = part.replace("./", "/assets/");
                assert!(FILES.iter().any(|(path, ..)| *path == wanted), "{path} wants {wanted}");
            }
        }
    }

    #[test]
    fn gzip_only_where_it_is_taken() {
        for (header, expected) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(header), expected, "{header}");
        }
    }
}
