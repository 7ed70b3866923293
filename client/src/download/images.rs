//! What is done with each image that arrives: whether it is the right one, and where it goes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use flag_host::write_document;
use flags_data::{Catalogue, CountryCode, Digest, is_gif};

use super::sample::Outcome;

/// What is done with each image that arrives.
#[derive(Debug, Clone)]
pub struct Images {
    /// Which are right. The others are neither saved nor counted as downloaded.
    pub right: RightImages,
    /// The folder in which they are saved, as `BR.gif`; none to drop them.
    pub folder: Option<PathBuf>,
}

/// Which images are right.
#[derive(Debug, Clone)]
pub enum RightImages {
    /// Those of this catalogue.
    Catalogue(Catalogue),
    /// Those with these SHA-256 digests: a catalogue without its images.
    Digests(Arc<BTreeMap<CountryCode, Digest>>),
    /// Those that the server names, where that is known: Flagbench's has any flags, and names the
    /// digest of each in the header `etag`. Of any other server, GIFs.
    Named,
}

/// An image that has arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// What it is to be.
    pub code: CountryCode,
    /// All of it.
    pub image: Bytes,
    /// The header `etag`, if that has the form of a digest.
    pub named: Option<Digest>,
    /// Whether the response names the rules that a Flagbench server applied.
    pub is_flagbench: bool,
}

impl Arrived {
    /// What it is to be by the server's own word. An entity tag that only looks like a digest may
    /// be anything, so it has to come from a Flagbench server, or be that of our flag.
    fn wanted(&self) -> Wanted {
        let catalogue = Catalogue::embedded();
        let ours = catalogue.get(self.code).map(|flag| flag.image.digest);
        match self.named {
            None if self.is_flagbench => Wanted::Named(ours),
            Some(_) if self.is_flagbench || self.named == ours => Wanted::Digest(self.named),
            _ => Wanted::Gif,
        }
    }
}

/// Why an image was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// [`Outcome::WrongBody`] or [`Outcome::NotSaved`].
    pub outcome: Outcome,
    /// The reason in words.
    pub error: String,
}

impl Images {
    /// Those that are compared with this catalogue, and dropped.
    pub fn verified(catalogue: Catalogue) -> Self {
        Self {
            right: RightImages::Catalogue(catalogue),
            folder: None,
        }
    }

    /// Checks the image, and saves it. Blocks while a file is written.
    ///
    /// # Errors
    /// When the image is not the right one, or cannot be written.
    pub fn accept(&self, arrived: &Arrived) -> Result<(), Rejected> {
        self.right.check(arrived)?;
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let path = folder.join(format!("{}.gif", arrived.code));
        write_document(&path, &arrived.image).map_err(|error| Rejected {
            outcome: Outcome::NotSaved,
            error: format!("cannot write {}: {error}", path.display()),
        })
    }

    /// Like [`accept`](Self::accept), but never blocks the event loop.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub async fn accept_async(&self, arrived: Arrived) -> Result<(), Rejected> {
        if self.folder.is_none() {
            return self.accept(&arrived);
        }
        let images = self.clone();
        let saving = tokio::task::spawn_blocking(move || images.accept(&arrived));
        saving
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

impl RightImages {
    /// The digest that is known before the image arrives.
    pub(crate) fn digest(&self, code: CountryCode) -> Option<Digest> {
        match self {
            Self::Catalogue(catalogue) => catalogue.get(code).map(|flag| flag.image.digest),
            Self::Digests(digests) => digests.get(&code).copied(),
            Self::Named => None,
        }
    }

    fn check(&self, arrived: &Arrived) -> Result<(), Rejected> {
        let wanted = match self {
            Self::Catalogue(_) | Self::Digests(_) => Wanted::Digest(self.digest(arrived.code)),
            Self::Named => arrived.wanted(),
        };
        wanted.check(&arrived.image)
    }
}

/// What one image has to be.
enum Wanted {
    /// One with this digest; none if there is no such flag.
    Digest(Option<Digest>),
    /// One whose digest the server names, as Flagbench's does for every image that is right. This
    /// one has none; it can only be our own.
    Named(Option<Digest>),
    Gif,
}

impl Wanted {
    fn check(&self, image: &[u8]) -> Result<(), Rejected> {
        let reason = match self {
            Self::Gif if is_gif(image) => return Ok(()),
            Self::Gif => "that are not a GIF".to_owned(),
            Self::Named(ours) if *ours == Some(Digest::of(image)) => return Ok(()),
            Self::Named(_) => "without the etag that the server gives to the flag".to_owned(),
            Self::Digest(expected) => {
                let found = Digest::of(image);
                if *expected == Some(found) {
                    return Ok(());
                }
                let expected = expected.map_or("no flag at all".to_owned(), |digest| {
                    format!("SHA-256 {digest}")
                });
                format!("with SHA-256 {found} instead of {expected}")
            }
        };
        Err(Rejected {
            outcome: Outcome::WrongBody,
            error: format!("wrong image: {} bytes {reason}", image.len()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(code: &str, image: &[u8]) -> Arrived {
        Arrived {
            code: code.parse().unwrap(),
            image: Bytes::copy_from_slice(image),
            named: None,
            is_flagbench: false,
        }
    }

    #[test]
    fn only_the_catalogues_own_image_is_accepted() {
        let catalogue = Catalogue::embedded();
        let image = catalogue.get("BR".parse().unwrap()).unwrap();
        let image = image.image.bytes.clone();
        let images = Images::verified(catalogue);
        assert_eq!(images.accept(&arrived("BR", &image)), Ok(()));
        let mut flipped = image.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        for (code, wrong) in [("BR", &flipped[..]), ("BR", b""), ("XX", &image[..])] {
            let rejected = images.accept(&arrived(code, wrong)).unwrap_err();
            assert_eq!(rejected.outcome, Outcome::WrongBody);
        }
    }

    #[test]
    fn an_image_is_only_called_wrong_where_that_is_known() {
        let brazil = Catalogue::embedded()
            .get("BR".parse().unwrap())
            .unwrap()
            .clone();
        let (ours, own, other) = (&*brazil.image.bytes, b"GIF87a of somebody", b"GIF89a");
        let (ours, own, other, text) = (ours, &own[..], &other[..], &b"<html>"[..]);
        for (image, named, is_flagbench, is_right) in [
            (ours, Some(ours), false, true),
            (own, Some(ours), false, false),
            (text, Some(ours), false, false),
            (own, Some(own), true, true),
            (own, Some(other), true, false),
            (own, Some(ours), true, false),
            // Somebody else's entity tag may be the digest of something else.
            (own, Some(other), false, true),
            (own, None, false, true),
            (own, None, true, false),
            (ours, None, true, true),
            (text, Some(text), false, false),
            (text, None, true, false),
            (b"", None, false, false),
            (b"GIF88a", None, false, false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let images = Images {
                right: RightImages::Named,
                folder: Some(folder.path().to_owned()),
            };
            let arrived = Arrived {
                named: named.map(Digest::of),
                is_flagbench,
                ..arrived("BR", image)
            };
            let accepted = images.accept(&arrived);
            assert_eq!(accepted.is_ok(), is_right, "{arrived:?} {accepted:?}");
            assert_eq!(folder.path().join("BR.gif").exists(), is_right);
        }
    }
}
