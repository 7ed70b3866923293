//! The catalogue: decides which flag belongs to a code, and refuses to know how flags travel.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::code::CountryCode;
use crate::digest::Digest;
use crate::folder::{self, Entry, LoadError};
use crate::resource::{Resource, ResourceKind};

/// The date of the embedded artwork, 2023-01-02T00:00:00Z, in seconds since the Unix epoch.
///
/// A constant because version control keeps no modification times: whoever builds the same sources
/// serves the same `last-modified`. It is the day of the package that the flags are drawn from; new
/// artwork gets a new date.
const ARTWORK_DATE: Duration = Duration::from_secs(1_672_617_600);

/// Some bytes and what identifies them. Clones share the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Asset {
    /// The bytes.
    pub bytes: Bytes,
    /// The SHA-256 digest of the bytes.
    pub digest: Digest,
}

impl From<Vec<u8>> for Asset {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            digest: Digest::of(&bytes),
            bytes: bytes.into(),
        }
    }
}

impl fmt::Debug for Asset {
    /// The length stands for the bytes, which nobody wants to read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asset")
            .field("len", &self.bytes.len())
            .field("digest", &self.digest)
            .finish()
    }
}

/// A country's flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The country's code.
    pub code: CountryCode,
    /// The country's short English name, such as `Brazil`.
    pub country: Cow<'static, str>,
    /// The picture: a GIF.
    pub image: Asset,
    /// The facts about the country: a JSON object, in UTF-8, on one line.
    pub metadata: Asset,
    /// When the picture last changed.
    pub last_modified: SystemTime,
}

/// Flags by country code. Clones are cheap and share everything.
#[derive(Clone, Debug)]
pub struct Catalogue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// In alphabetical order of the codes.
    flags: Vec<Flag>,
    /// For each well-formed code, the place of its flag in `flags`.
    places: [Option<u16>; CountryCode::COUNT],
}

impl Catalogue {
    /// The 194 flags that are part of the program.
    ///
    /// Nothing is read, hashed or decoded: names and digests were computed when the program was
    /// built. Each flag was last modified on 2023-01-02T00:00:00Z, the date of the artwork.
    #[must_use]
    pub fn embedded() -> Self {
        static EMBEDDED: LazyLock<Catalogue> =
            LazyLock::new(|| Catalogue::new(embedded::FLAGS.iter().map(Flag::from).collect()));

        EMBEDDED.clone()
    }

    /// The flags of a folder of [the same shape](crate#the-folder). A flag was last modified when
    /// its image file was.
    ///
    /// Plain files and hidden entries beside the folders of the flags are ignored.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the folder, at once. An empty folder is wrong too.
    pub fn load(dir: &Path) -> Result<Self, LoadError> {
        let entries = folder::read(dir)?;
        Ok(Self::new(entries.into_iter().map(Flag::from).collect()))
    }

    /// The flag of a country, found in constant time.
    #[must_use]
    pub fn get(&self, code: CountryCode) -> Option<&Flag> {
        let place = self.shared.places[code.index()]?;
        self.shared.flags.get(usize::from(place))
    }

    /// The file that a resource is, if there is one.
    pub fn file(&self, resource: &Resource<'_>) -> Option<&Asset> {
        match resource.kind() {
            ResourceKind::Image(code) => self.get(code).map(|flag| &flag.image),
            ResourceKind::Metadata(code) => self.get(code).map(|flag| &flag.metadata),
            _ => None,
        }
    }

    /// The flags in alphabetical order of their codes.
    pub fn flags(&self) -> impl ExactSizeIterator<Item = &Flag> {
        self.shared.flags.iter()
    }

    /// The codes that have a flag, in alphabetical order.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = CountryCode> {
        self.flags().map(|flag| flag.code)
    }

    /// How many flags there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.flags.len()
    }

    /// Whether the catalogue is empty; a loaded one never is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.flags.is_empty()
    }

    /// The caller gives each code once, in alphabetical order.
    fn new(flags: Vec<Flag>) -> Self {
        let mut places = [None; CountryCode::COUNT];
        for (place, flag) in (0..).zip(&flags) {
            places[flag.code.index()] = Some(place);
        }
        Self {
            shared: Arc::new(Shared { flags, places }),
        }
    }
}

impl From<Entry> for Flag {
    fn from(entry: Entry) -> Self {
        Self {
            code: entry.code,
            country: entry.country.into(),
            image: entry.image.into(),
            metadata: entry.metadata.into(),
            last_modified: entry.last_modified,
        }
    }
}

impl From<&'static embedded::Flag> for Flag {
    fn from(flag: &'static embedded::Flag) -> Self {
        Self {
            code: flag.code,
            country: flag.country.into(),
            image: Asset::from(&flag.image),
            metadata: Asset::from(&flag.metadata),
            last_modified: SystemTime::UNIX_EPOCH + ARTWORK_DATE,
        }
    }
}

impl From<&'static embedded::Asset> for Asset {
    fn from(asset: &'static embedded::Asset) -> Self {
        Self {
            bytes: Bytes::from_static(asset.bytes),
            digest: asset.digest,
        }
    }
}

/// What the build script computed: the shapes here, the values in the file that it wrote.
mod embedded {
    use super::{CountryCode, Digest};

    pub(super) struct Flag {
        pub(super) code: CountryCode,
        pub(super) country: &'static str,
        pub(super) image: Asset,
        pub(super) metadata: Asset,
    }

    pub(super) struct Asset {
        pub(super) bytes: &'static [u8],
        pub(super) digest: Digest,
    }

    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}
