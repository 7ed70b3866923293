//! What is done with each image that arrives.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use flag_host::write_document;
use flags_data::{Catalogue, CountryCode, Digest};

use super::sample::Outcome;

/// What is done with each image that arrives.
#[derive(Debug, Clone)]
pub enum Images {
    /// It is compared with the catalogue, and dropped.
    Verify(Catalogue),
    /// Its SHA-256 is compared with these: a catalogue without its images.
    Compare(Arc<BTreeMap<CountryCode, Digest>>),
    /// It is written to `BR.gif` in this folder.
    Save(PathBuf),
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
    /// Verifies or saves the image. Blocks while a file is written.
    ///
    /// # Errors
    /// When the image is not that of the catalogue, or cannot be written.
    pub fn accept(&self, code: CountryCode, image: &[u8]) -> Result<(), Rejected> {
        match self {
            Self::Verify(_) | Self::Compare(_) => verify(self.expected(code), image),
            Self::Save(folder) => {
                let path = folder.join(format!("{code}.gif"));
                write_document(&path, image).map_err(|error| Rejected {
                    outcome: Outcome::NotSaved,
                    error: format!("cannot write {}: {error}", path.display()),
                })
            }
        }
    }

    /// The digest of the image that it is compared with, where there is one.
    pub(crate) fn expected(&self, code: CountryCode) -> Option<Digest> {
        match self {
            Self::Verify(catalogue) => catalogue.get(code).map(|flag| flag.image.digest),
            Self::Compare(digests) => digests.get(&code).copied(),
            Self::Save(_) => None,
        }
    }

    /// Like [`accept`](Self::accept), but never blocks the event loop.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub async fn accept_async(&self, code: CountryCode, image: Bytes) -> Result<(), Rejected> {
        match self {
            Self::Verify(_) | Self::Compare(_) => self.accept(code, &image),
            Self::Save(_) => {
                let images = self.clone();
                let saving = tokio::task::spawn_blocking(move || images.accept(code, &image));
                saving
                    .await
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            }
        }
    }
}

fn verify(expected: Option<Digest>, image: &[u8]) -> Result<(), Rejected> {
    let found = Digest::of(image);
    if expected == Some(found) {
        return Ok(());
    }
    let expected = expected.map_or("no flag at all".to_owned(), |digest| {
        format!("SHA-256 {digest}")
    });
    let error = format!(
        "wrong image: {} bytes with SHA-256 {found} instead of {expected}",
        image.len()
    );
    Err(Rejected {
        outcome: Outcome::WrongBody,
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_catalogues_own_image_is_accepted() {
        let catalogue = Catalogue::embedded();
        let (br, xx) = ("BR".parse().unwrap(), "XX".parse().unwrap());
        let image = catalogue.get(br).unwrap().image.bytes.clone();
        let images = Images::Verify(catalogue);
        assert_eq!(images.accept(br, &image), Ok(()));
        let mut flipped = image.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        for (code, wrong) in [(br, &flipped[..]), (br, b""), (xx, &image[..])] {
            assert_eq!(
                images.accept(code, wrong).unwrap_err().outcome,
                Outcome::WrongBody
            );
        }
    }
}
