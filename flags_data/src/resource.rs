//! Which resource a request target names: decides it once, for the server's site, the conditions of
//! rules, the key of a decision, plans and clients. It does not know whether anything is served
//! there.

use std::borrow::Cow;
use std::fmt;

use crate::CountryCode;

/// The prefix of the public site of *Fluent Python*, below which the same tree is found.
const DATA: &str = "/data";

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
    prefix: &'static str,
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
    /// one `/data` before `/flags` is taken off; ASCII letters become lower case. A target that is
    /// canonical costs no allocation.
    pub fn parse(target: &'t str) -> Self {
        let target = without_query(origin_form(target));
        let mut path = Cow::Borrowed(target);
        if needs_cleaning(target) {
            path = Cow::Owned(cleaned(target));
        }
        let prefix = if is_below_data(&path) {
            path = match path {
                Cow::Borrowed(path) => Cow::Borrowed(&path[DATA.len()..]),
                Cow::Owned(path) => Cow::Owned(path[DATA.len()..].to_owned()),
            };
            DATA
        } else {
            ""
        };
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            path.to_mut().make_ascii_lowercase();
        }
        let kind = ResourceKind::of(&path);
        Self { prefix, path, kind }
    }

    /// The picture of a country.
    pub fn image(code: CountryCode) -> Resource<'static> {
        let cc = code.to_lowercase();
        Resource {
            prefix: "",
            path: format!("/flags/{cc}/{cc}.gif").into(),
            kind: ResourceKind::Image(code),
        }
    }

    /// The metadata of a country.
    pub fn metadata(code: CountryCode) -> Resource<'static> {
        Resource {
            prefix: "",
            path: format!("/flags/{}/metadata.json", code.to_lowercase()).into(),
            kind: ResourceKind::Metadata(code),
        }
    }

    /// The canonical path, which is what decisions are made of.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the target has in front of the canonical path, as links and redirects keep it: `/data`,
    /// or nothing.
    pub fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// What it is.
    pub fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// The country that it belongs to.
    pub fn code(&self) -> Option<CountryCode> {
        match self.kind {
            ResourceKind::Image(code) | ResourceKind::Metadata(code) => Some(code),
            ResourceKind::Index | ResourceKind::NoFile | ResourceKind::Other => None,
        }
    }

    /// Whether faults apply: to everything below `/flags/`, and not to the list itself.
    pub fn has_faults(&self) -> bool {
        match self.kind {
            ResourceKind::Image(_) | ResourceKind::Metadata(_) | ResourceKind::NoFile => true,
            ResourceKind::Index | ResourceKind::Other => false,
        }
    }

    /// Whether the target was the canonical path, letter by letter.
    pub fn is_canonical(&self, target: &str) -> bool {
        self.prefix.is_empty() && self.path == target
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
            return Self::Other;
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
    let &[high, low, ..] = digits.as_bytes() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let character = char::from_u32(digit(high)? * 16 + digit(low)?)?;
    (character.is_ascii_alphanumeric() || "-._~".contains(character)).then_some(character)
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
        ] {
            assert_eq!(Resource::parse(target).path(), path, "{target}");
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
            prop_assert!(resource.path().bytes().all(|byte| !byte.is_ascii_uppercase()));
        }
    }
}
