//! Loading a folder: what is accepted, and that all problems are reported at once.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flags_data::{Catalogue, LoadError};
use tempfile::TempDir;

const GIF: &[u8] = b"GIF89a and so on";
const BRAZIL: &str = r#"{"country": "Brazil", "iso_cc": "BR"}"#;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(folder: &TempDir, path: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.path().join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

fn folder_of_brazil() -> TempDir {
    let folder = folder();
    write(&folder, "br/br.gif", GIF);
    write(&folder, "br/metadata.json", BRAZIL);
    folder
}

/// The problems, with the name of the folder replaced.
fn problems(folder: &Path) -> Vec<String> {
    let error = Catalogue::load(folder).expect_err("the folder is invalid");
    assert_eq!(error.folder(), folder);
    error
        .problems()
        .iter()
        .map(|problem| {
            problem
                .to_string()
                .replace(&*folder.to_string_lossy(), "DIR")
                .replace(std::path::MAIN_SEPARATOR, "/")
        })
        .collect()
}

#[test]
fn a_flag_has_the_content_of_its_files() {
    let folder = folder_of_brazil();
    let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options()
        .write(true)
        .open(folder.path().join("br/br.gif"))
        .and_then(|image| image.set_modified(noon))
        .expect("the image has a date");

    let catalogue = Catalogue::load(folder.path()).expect("a valid folder");

    assert_eq!(catalogue.len(), 1);
    let flag = catalogue
        .get("BR".parse().expect("a code"))
        .expect("a flag");
    assert_eq!(flag.country, "Brazil");
    assert_eq!(flag.image.bytes, GIF);
    assert_eq!(flag.metadata.bytes, BRAZIL);
    assert_eq!(flag.last_modified, noon);
    assert!(catalogue.get("JP".parse().expect("a code")).is_none());
}

#[test]
fn plain_files_and_hidden_entries_are_ignored() {
    let folder = folder_of_brazil();
    write(&folder, "README.md", "the flags");
    write(&folder, "xx", "a plain file");
    write(&folder, ".git/config", "");
    write(&folder, "br/br.svg", "its source");

    let catalogue = Catalogue::load(folder.path()).expect("a valid folder");
    assert_eq!(catalogue.len(), 1);
}

#[test]
fn a_catalogue_can_hold_every_code() {
    let folder = folder();
    for code in flags_data::CountryCode::every() {
        let cc = code.to_lowercase();
        write(&folder, &format!("{cc}/{cc}.gif"), b"GIF87a");
        let metadata = format!(r#"{{"country": "Land of {code}", "iso_cc": "{code}"}}"#);
        write(&folder, &format!("{cc}/metadata.json"), metadata);
    }

    let catalogue = Catalogue::load(folder.path()).expect("a valid folder");
    assert!(catalogue.codes().eq(flags_data::CountryCode::every()));
}

#[test]
fn all_problems_are_reported_at_once_in_order() {
    let folder = folder_of_brazil();
    write(&folder, "ad/ad.gif", "<svg/>");
    write(
        &folder,
        "ad/metadata.json",
        r#"{"country": "Andorra", "iso_cc": "AE"}"#,
    );
    fs::create_dir(folder.path().join("fr")).expect("a folder");
    write(&folder, "IT/it.gif", GIF);
    write(&folder, "pictures/a.gif", GIF);
    write(&folder, "us/us.gif", GIF);
    write(&folder, "us/metadata.json", "{");

    assert_eq!(
        problems(folder.path()),
        [
            "DIR/IT: is not named by a country code; name it by two lower-case letters, such as br, or move it away",
            "DIR/ad/ad.gif: is not a GIF image; convert it to GIF87a or GIF89a",
            "DIR/ad/metadata.json: iso_cc is AE, but the folder is that of AD; correct one of them",
            "DIR/fr/fr.gif: there is no such file; each flag has an image named by its code, such as br/br.gif",
            "DIR/fr/metadata.json: there is no such file; each flag has one, such as br/metadata.json",
            "DIR/pictures: is not named by a country code; name it by two lower-case letters, such as br, or move it away",
            "DIR/us/metadata.json: is not a JSON object (EOF while parsing an object at line 1 column 1); \
             write an object such as {\"country\": \"Brazil\", \"iso_cc\": \"BR\"}",
        ]
    );
}

#[test]
fn the_error_message_has_every_problem() {
    let folder = folder();
    fs::create_dir(folder.path().join("fr")).expect("a folder");
    let error: LoadError = Catalogue::load(folder.path()).expect_err("an empty flag");
    let text = error.to_string();

    assert!(
        text.starts_with(&format!("the flags in {} ", folder.path().display())),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1 + error.problems().len());
    for problem in error.problems() {
        assert!(text.contains(&problem.to_string()), "{text}");
        assert!(problem.path().starts_with(folder.path()));
    }
}

#[test]
fn metadata_that_names_no_country_is_refused() {
    for (metadata, complaint) in [
        ("", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        ("\u{fffd}", "is not a JSON object"),
        (r#"{"iso_cc": "BR"}"#, "has no country"),
        (
            r#"{"country": null, "iso_cc": "BR"}"#,
            "country is not a string",
        ),
        (
            r#"{"country": " ", "iso_cc": "BR"}"#,
            "country is \" \", which is not a name",
        ),
        (
            r#"{"country": "../x", "iso_cc": "BR"}"#,
            "country is \"../x\", which is not a name",
        ),
        (r#"{"country": "Brazil"}"#, "has no iso_cc"),
        (
            r#"{"country": "Brazil", "iso_cc": 55}"#,
            "iso_cc is not a string",
        ),
        (
            r#"{"country": "Brazil", "iso_cc": "BRA"}"#,
            "iso_cc: \"BRA\" is not a country code",
        ),
    ] {
        let folder = folder_of_brazil();
        write(&folder, "br/metadata.json", metadata);
        let problems = problems(folder.path());
        assert_eq!(problems.len(), 1, "{problems:?}");
        let start = format!("DIR/br/metadata.json: {complaint}");
        assert!(problems[0].starts_with(&start), "{problems:?}");
    }
}

#[test]
fn a_folder_without_flags_is_refused() {
    let folder = folder();
    write(&folder, "README.md", "no flags yet");

    assert_eq!(
        problems(folder.path()),
        [
            "DIR: holds no flag; put each flag into a folder of its own, such as br/br.gif and br/metadata.json"
        ]
    );
}

#[test]
fn a_missing_folder_or_a_file_instead_is_refused() {
    let folder = folder_of_brazil();

    assert_eq!(
        problems(&folder.path().join("nowhere")),
        ["DIR: there is no such folder; name the folder that holds the folders ad to zw"]
    );
    assert_eq!(
        problems(&folder.path().join("br/br.gif")),
        ["DIR: is not a folder; name the folder that holds the folders ad to zw"]
    );
}

#[test]
fn a_folder_in_the_place_of_a_file_is_refused() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("br/br.gif")).expect("a folder");
    write(&folder, "br/metadata.json", BRAZIL);

    assert_eq!(
        problems(folder.path()),
        ["DIR/br/br.gif: is not a plain file; put the file itself there"]
    );
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_are_problems() {
    use std::os::unix::fs::symlink;

    use flags_data::Problem;

    let source = folder_of_brazil();
    let folder = folder();
    symlink(source.path().join("br"), folder.path().join("br")).expect("a link");
    assert!(Catalogue::load(folder.path()).is_ok());

    symlink("fr", folder.path().join("fr")).expect("a loop");
    symlink("nowhere", folder.path().join("it")).expect("a broken link");
    fs::create_dir(folder.path().join("jp")).expect("a folder");
    symlink("jp.gif", folder.path().join("jp/jp.gif")).expect("a loop");
    write(
        &folder,
        "jp/metadata.json",
        r#"{"country": "Japan", "iso_cc": "JP"}"#,
    );

    let error = Catalogue::load(folder.path()).expect_err("two loops and a broken link");
    let paths: Vec<_> = error.problems().iter().map(Problem::path).collect();
    assert_eq!(
        paths,
        ["fr", "it", "jp/jp.gif"].map(|path| folder.path().join(path))
    );
    assert!(
        error
            .problems()
            .iter()
            .all(|p| matches!(p, Problem::Unreadable { .. }))
    );
}

#[cfg(unix)]
#[test]
fn a_socket_in_the_place_of_a_file_is_refused_without_waiting() {
    let folder = folder();
    write(&folder, "br/metadata.json", BRAZIL);
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("br/br.gif"));

    assert_eq!(
        problems(folder.path()),
        ["DIR/br/br.gif: is not a plain file; put the file itself there"]
    );
}
