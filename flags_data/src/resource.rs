//! Which resource a request target names: decides it once, for the server's site, the conditions of
//! rules, the key of a decision, plans and clients. It does not know whether anything is served
//! there.

use std::borrow::Cow;
use std::fmt;

use crate::CountryCode;

/// The path of what says that a server is alive.
pub const HEALTH_CHECK: &str = "/healthz";

/// The prefix of the public site of *Fluent Python*, below which the same tree is found.
const DATA: &str = "/data";

/// What is in front of the name of an upload.
const UPLOADS: &str = "/uploads/";

/// What is in front of the name of a run, below which the same tree is found once more: for clients
/// that cannot send a header.
const RUN: &str = "/run/";

/// What a request target names. All spellings that name one thing have one canonical path.
///
/// ```
/// use flags_data::{Resource, ResourceKind};
///
/// let brazil: flags_data::CountryCode = "BR".parse()?;
/// for target in [
///     "/flags/br/br.gif",
///     "/data/flags/BR/./br.gif?page=2",
///     "http://localhost/flags//%62r/br.gif",
/// ] {
///     let resource = Resource::parse(target);
///     assert_eq!(resource.path(), "/flags/br/br.gif");
///     assert_eq!(resource.kind(), ResourceKind::Image(brazil));
/// }
/// assert_eq!(Resource::image(brazil).to_string(), "/flags/br/br.gif");
/// # Ok::<(), flags_data::ParseCodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource<'t> {
    run: Option<Cow<'t, str>>,
    prefix: Cow<'t, str>,
    path: Cow<'t, str>,
    kind: ResourceKind,
}

/// The kinds of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResourceKind {
    /// The list of the flags: `/flags/`.
    Index,
    /// The picture of a country: `/flags/br/br.gif`.
    Image(CountryCode),
    /// The metadata of a country: `/flags/br/metadata.json`.
    Metadata(CountryCode),
    /// A path below `/flags/` that no file can have.
    NoFile,
    /// A place for uploads: `/uploads/report.csv`.
    Upload,
    /// Everything else.
    Other,
}

impl<'t> Resource<'t> {
    /// Parses a request target: a path, with or without a query, or the absolute form of one (RFC
    /// 9112, section 3.2).
    ///
    /// The steps, in this order: the absolute form is reduced to its path; the query is cut off;
    /// `%XX` of an unreserved character (RFC 3986, section 2.3) is decoded, once, and every other
    /// escape stays as it is; dot segments are removed (section 5.2.4); runs of slashes become one;
    /// one `/run/{run}` in front of more is taken off, then one `/data` before `/flags`; ASCII
    /// letters become lower case, except in the names below `/uploads/`. A target that is canonical
    /// costs no allocation.
    pub fn parse(target: &'t str) -> Self {
        let target = without_query(origin_form(target));
        let clean = if needs_cleaning(target) {
            Cow::Owned(cleaned(target))
        } else {
            Cow::Borrowed(target)
        };
        let run_len = run_prefix(&clean);
        let data_len = if is_below_data(&clean[run_len..]) {
            DATA.len()
        } else {
            0
        };
        let split = run_len + data_len;
        let (run, prefix, mut path) = match clean {
            Cow::Borrowed(clean) => {
                let run = (run_len > 0).then(|| run_in(&clean[..run_len]));
                (run, clean[..split].into(), Cow::Borrowed(&clean[split..]))
            }
            Cow::Owned(clean) => {
                let run = (run_len > 0).then(|| run_in(&clean[..run_len]).into_owned().into());
                let (prefix, path) = clean.split_at(split);
                (run, prefix.to_owned().into(), Cow::Owned(path.to_owned()))
            }
        };
        let folded = folded_part(&path);
        if path[..folded].bytes().any(|byte| byte.is_ascii_uppercase()) {
            path.to_mut()[..folded].make_ascii_lowercase();
        }
        let kind = ResourceKind::of(&path);
        Self {
            run,
            prefix,
            path,
            kind,
        }
    }

    /// The picture of a country.
    pub fn image(code: CountryCode) -> Resource<'static> {
        let cc = code.to_lowercase();
        Resource {
            run: None,
            prefix: "".into(),
            path: format!("/flags/{cc}/{cc}.gif").into(),
            kind: ResourceKind::Image(code),
        }
    }

    /// The metadata of a country.
    pub fn metadata(code: CountryCode) -> Resource<'static> {
        Resource {
            run: None,
            prefix: "".into(),
            path: format!("/flags/{}/metadata.json", code.to_lowercase()).into(),
            kind: ResourceKind::Metadata(code),
        }
    }

    /// The canonical path, which is what decisions are made of.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the target has in front of the canonical path, as links and redirects keep it:
    /// `/run/mine/data`, a part of that, or nothing.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The run that the target names, with all escapes decoded once more. It is not checked: the
    /// name may be of any length, and have any characters.
    pub fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// What it is.
    pub fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// The country that it belongs to.
    pub fn code(&self) -> Option<CountryCode> {
        match self.kind {
            ResourceKind::Image(code) | ResourceKind::Metadata(code) => Some(code),
            ResourceKind::Index
            | ResourceKind::NoFile
            | ResourceKind::Upload
            | ResourceKind::Other => None,
        }
    }

    /// Whether faults apply: to everything below `/flags/`, and not to the list itself, and to
    /// uploads.
    pub fn has_faults(&self) -> bool {
        match self.kind {
            ResourceKind::Image(_)
            | ResourceKind::Metadata(_)
            | ResourceKind::NoFile
            | ResourceKind::Upload => true,
            ResourceKind::Index | ResourceKind::Other => false,
        }
    }

    /// Whether it says that the server is alive, and nothing else.
    pub fn is_health_check(&self) -> bool {
        self.path == HEALTH_CHECK
    }

    /// Whether the target was the canonical path, letter by letter.
    pub fn is_canonical(&self, target: &str) -> bool {
        self.prefix.is_empty() && self.path == target
    }

    /// Whether the target was the canonical path, letter by letter, behind a prefix that needs no
    /// escapes.
    pub fn is_canonical_below_prefix(&self, target: &str) -> bool {
        let is_plain = |byte: u8| byte == b'/' || is_unreserved(char::from(byte));
        target.strip_suffix(&*self.path) == Some(&*self.prefix) && self.prefix.bytes().all(is_plain)
    }
}

impl fmt::Display for Resource<'_> {
    /// The canonical path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.path)
    }
}

impl ResourceKind {
    /// The kind of a canonical path.
    fn of(path: &str) -> Self {
        let Some(below) = path.strip_prefix("/flags/") else {
            let name = path.strip_prefix(UPLOADS).unwrap_or_default();
            return if name.is_empty() {
                Self::Other
            } else {
                Self::Upload
            };
        };
        if below.is_empty() {
            return Self::Index;
        }
        let file = below.split_once('/').and_then(|(folder, name)| {
            let code: CountryCode = folder.parse().ok()?;
            if name == "metadata.json" {
                return Some(Self::Metadata(code));
            }
            (name.strip_suffix(".gif") == Some(folder)).then_some(Self::Image(code))
        });
        file.unwrap_or(Self::NoFile)
    }
}

/// The path and the query of a target in absolute form; any other target as it is.
fn origin_form(target: &str) -> &str {
    if target.starts_with('/') {
        return target;
    }
    let Some((_scheme, rest)) = target.split_once("://") else {
        return target;
    };
    match rest.find(['/', '?', '#']) {
        Some(end) if rest[end..].starts_with('/') => &rest[end..],
        _ => "/",
    }
}

/// No target has a fragment, but some clients send one.
fn without_query(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

/// The length of `/run/{run}` at the beginning, if more follows.
fn run_prefix(path: &str) -> usize {
    let Some(rest) = path.strip_prefix(RUN) else {
        return 0;
    };
    rest.find('/').map_or(0, |len| RUN.len() + len)
}

/// The name of the run in such a prefix.
fn run_in(prefix: &str) -> Cow<'_, str> {
    percent_decoded(&prefix[RUN.len()..])
}

/// Every `%XX` becomes its byte. What is not UTF-8 then becomes U+FFFD.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return text.into();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%').then(|| escaped_byte(&text[at + 1..]));
        match escaped.flatten() {
            Some(escaped) => {
                decoded.push(escaped);
                at += 3;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned().into()
}

/// How much of a path becomes lower case: all of it, but for the names below `/uploads/`.
fn folded_part(path: &str) -> usize {
    match path.get(..UPLOADS.len()) {
        Some(folder) if folder.eq_ignore_ascii_case(UPLOADS) => UPLOADS.len(),
        _ => path.len(),
    }
}

/// Whether the path is `/data/flags` or below it. Nothing else is found there.
fn is_below_data(path: &str) -> bool {
    let Some(rest) = path.strip_prefix(DATA) else {
        return false;
    };
    let is_flags = |root: &str| root.eq_ignore_ascii_case("/flags");
    rest.get(.."/flags".len()).is_some_and(is_flags)
        && matches!(rest.as_bytes().get("/flags".len()), None | Some(b'/'))
}

/// Whether there is an escape, an empty segment, or a segment that begins with a dot.
fn needs_cleaning(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.contains(&b'%') || bytes.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}

/// Decodes unreserved characters, removes dot segments, and merges slashes.
fn cleaned(path: &str) -> String {
    let decoded = decoded(path);
    let mut segments: Vec<&str> = Vec::new();
    let mut is_folder = false;
    for segment in decoded.split('/').skip(1) {
        is_folder = matches!(segment, "" | "." | "..");
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            // An empty segment counts until it is merged: `/a//../b` is `/a/b`.
            segment => segments.push(segment),
        }
    }
    let mut clean = String::with_capacity(decoded.len());
    for segment in segments.iter().filter(|segment| !segment.is_empty()) {
        clean.push('/');
        clean.push_str(segment);
    }
    if is_folder || clean.is_empty() {
        clean.push('/');
    }
    clean
}

/// `%XX` of unreserved characters becomes the character. What comes out of it is not decoded again.
fn decoded(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, escape)) = rest.split_once('%') {
        decoded.push_str(before);
        match unreserved(escape) {
            Some(character) => {
                decoded.push(character);
                rest = &escape[2..];
            }
            None => {
                decoded.push('%');
                rest = escape;
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

/// The unreserved character that the two hexadecimal digits at the start stand for.
fn unreserved(digits: &str) -> Option<char> {
    let character = escaped_byte(digits).map(char::from)?;
    is_unreserved(character).then_some(character)
}

/// RFC 3986, section 2.3.
fn is_unreserved(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-._~".contains(character)
}

/// The byte that the two hexadecimal digits at the start stand for.
fn escaped_byte(digits: &str) -> Option<u8> {
    let &[high, low, ..] = digits.as_bytes() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_step_of_the_canonical_form_has_an_example() {
        for (target, path) in [
            ("/flags/br/br.gif", "/flags/br/br.gif"),
            ("http://x/flags/br/br.gif?a=/b", "/flags/br/br.gif"),
            ("HTTPS://x:1?a", "/"),
            ("http://x", "/"),
            ("/flags/br/br.gif?x", "/flags/br/br.gif"),
            ("/flags/br/br.gif#x", "/flags/br/br.gif"),
            ("/flags/%62r/br%2egif", "/flags/br/br.gif"),
            ("/fl%61gs/br/br.gif", "/flags/br/br.gif"),
            ("/flags/%42%52/br.gif", "/flags/br/br.gif"),
            ("/flags/%2562r/br.gif", "/flags/%2562r/br.gif"),
            ("/flags/br%2Fbr.gif", "/flags/br%2fbr.gif"),
            ("/flags/br%2fbr.gif", "/flags/br%2fbr.gif"),
            ("/flags/b%zz", "/flags/b%zz"),
            ("/flags/b%6", "/flags/b%6"),
            ("/flags/é/%", "/flags/é/%"),
            ("/flags/./br/x/../br.gif", "/flags/br/br.gif"),
            ("/flags/%2e%2e/flags/br/br.gif", "/flags/br/br.gif"),
            ("/../../flags/br/br.gif", "/flags/br/br.gif"),
            ("/flags/br/..", "/flags/"),
            ("/flags/br/.", "/flags/br/"),
            ("//flags///br//br.gif", "/flags/br/br.gif"),
            ("/flags//../br/br.gif", "/flags/br/br.gif"),
            ("/flags/...", "/flags/..."),
            ("/data/flags/br/br.gif", "/flags/br/br.gif"),
            ("/data//flags/br/br.gif", "/flags/br/br.gif"),
            ("/data/data/flags/br/br.gif", "/data/data/flags/br/br.gif"),
            ("/DATA/flags/br/br.gif", "/data/flags/br/br.gif"),
            ("/data/FLAGS/br/br.gif", "/flags/br/br.gif"),
            ("/data/flags", "/flags"),
            ("/data/flagsx", "/data/flagsx"),
            ("/data/healthz", "/data/healthz"),
            ("/data", "/data"),
            ("/database/flags", "/database/flags"),
            ("/FLAGS/BR/BR.GIF", "/flags/br/br.gif"),
            ("/flags/br/br.gif/", "/flags/br/br.gif/"),
            ("*", "*"),
            ("", ""),
            ("/run/mine/flags/br/br.gif", "/flags/br/br.gif"),
            ("/run/mine/data/FLAGS/BR/br.gif", "/flags/br/br.gif"),
            ("/run/mine/healthz", "/healthz"),
            ("/run/mine/", "/"),
            ("/run/mine", "/run/mine"),
            ("/run//flags/br/br.gif", "/br/br.gif"),
            ("/run/a/run/b/flags/br/br.gif", "/run/b/flags/br/br.gif"),
            ("/data/run/a/flags/br/br.gif", "/data/run/a/flags/br/br.gif"),
            ("/RUN/a/flags/br/br.gif", "/run/a/flags/br/br.gif"),
            ("/uploads/Report.CSV", "/uploads/Report.CSV"),
            ("/UPLOADS/Report.CSV", "/uploads/Report.CSV"),
            ("/run/X/uploads/A%42/c", "/uploads/AB/c"),
        ] {
            assert_eq!(Resource::parse(target).path(), path, "{target}");
        }
    }

    #[test]
    fn a_run_in_the_path_is_decoded_and_nothing_else_is_done_to_it() {
        for (target, run, prefix) in [
            ("/flags/br/br.gif", None, ""),
            ("/run/Mine-7/flags/br/br.gif", Some("Mine-7"), "/run/Mine-7"),
            ("/run/a/data/flags/", Some("a"), "/run/a/data"),
            (
                "/run/two%20words/flags/",
                Some("two words"),
                "/run/two%20words",
            ),
            ("/run/%41%2fb/flags/", Some("A/b"), "/run/A%2fb"),
            ("/run/%2541/flags/", Some("%41"), "/run/%2541"),
            ("/run/%c3%a9/flags/", Some("é"), "/run/%c3%a9"),
            ("/run/%ff/flags/", Some("\u{fffd}"), "/run/%ff"),
            ("/run/100%/flags/", Some("100%"), "/run/100%"),
            ("/run/é%/flags/", Some("é%"), "/run/é%"),
            ("/run/mine", None, ""),
        ] {
            let resource = Resource::parse(target);
            assert_eq!(
                (resource.run(), resource.prefix()),
                (run, prefix),
                "{target}"
            );
        }
    }

    #[test]
    fn a_plain_prefix_may_be_in_front_of_a_canonical_path() {
        let is_plain = |target| Resource::parse(target).is_canonical_below_prefix(target);
        assert!(is_plain("/flags/br/br.gif"));
        assert!(is_plain("/run/Mine.7/flags/br/br.gif"));
        assert!(is_plain("/run/a/data/flags/br/br.gif"));
        for target in [
            "/run/a%20b/flags/br/br.gif",
            "/run/a/flags/BR/br.gif",
            "/run/a/flags/br/br.gif?x",
            "//run/a/flags/br/br.gif",
            "/run/é/flags/br/br.gif",
            "http://x/run/a/flags/br/br.gif",
        ] {
            assert!(!is_plain(target), "{target}");
        }
    }

    #[test]
    fn only_a_path_of_a_file_has_a_country() {
        let brazil = CountryCode::new(*b"BR").unwrap();
        for (target, kind) in [
            ("/flags/br/br.gif", ResourceKind::Image(brazil)),
            ("/flags/br/metadata.json", ResourceKind::Metadata(brazil)),
            ("/flags/br/br.gif/", ResourceKind::NoFile),
            ("/flags/br/jp.gif", ResourceKind::NoFile),
            ("/flags/br/br.gif.bak", ResourceKind::NoFile),
            ("/flags/br/", ResourceKind::NoFile),
            ("/flags/br", ResourceKind::NoFile),
            ("/flags/", ResourceKind::Index),
            ("/data/flags/", ResourceKind::Index),
            ("/flags", ResourceKind::Other),
            ("/healthz", ResourceKind::Other),
            ("/data/healthz", ResourceKind::Other),
            ("/data/data/flags/br/br.gif", ResourceKind::Other),
            ("/uploads/a", ResourceKind::Upload),
            ("/uploads/a/b", ResourceKind::Upload),
            ("/uploads/", ResourceKind::Other),
            ("/uploads", ResourceKind::Other),
            ("/run/a/uploads/b", ResourceKind::Upload),
        ] {
            let resource = Resource::parse(target);
            assert_eq!(resource.kind(), kind, "{target}");
        }
    }

    #[test]
    fn the_resource_of_a_code_equals_its_parsed_path() {
        for code in CountryCode::every() {
            for resource in [Resource::image(code), Resource::metadata(code)] {
                assert_eq!(Resource::parse(&resource.to_string()), resource);
                assert!(resource.is_canonical(resource.path()));
            }
        }
    }

    proptest! {
        /// For paths that are not absolute forms and have no `/data`, which is removed only once.
        #[test]
        fn canonicalisation_is_idempotent(target in "/[a-zA-Z%0-9./?~é-]{0,40}") {
            let resource = Resource::parse(&target);
            // A double escape is decoded one step further each time.
            prop_assume!(!resource.path().contains('%') && resource.prefix().is_empty());
            let again = Resource::parse(resource.path());
            prop_assert_eq!(again.path(), resource.path());
            prop_assert_eq!(again.kind(), resource.kind());
        }

        #[test]
        fn any_text_can_be_parsed(target in "\\PC*") {
            let resource = Resource::parse(&target);
            let is_lower = resource.path().bytes().all(|byte| !byte.is_ascii_uppercase());
            prop_assert!(is_lower || resource.kind() == ResourceKind::Upload);
        }
    }
}
