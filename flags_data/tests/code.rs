//! Country codes and digests: what is well formed, and how it is written.

use flags_data::{CountryCode, Digest};
use proptest::prelude::*;

proptest! {
    #[test]
    fn two_letters_in_either_case_are_the_code_in_upper_case(text in "[A-Za-z]{2}") {
        let code: CountryCode = text.parse()?;

        prop_assert_eq!(code.as_str(), text.to_uppercase());
        prop_assert_eq!(code.to_string(), text.to_uppercase());
        prop_assert_eq!(format!("{code:?}"), text.to_uppercase());
        prop_assert_eq!(&*code.to_lowercase(), text.to_lowercase());
        prop_assert_eq!(code.to_lowercase().to_string(), text.to_lowercase());
    }

    #[test]
    fn nothing_else_is_a_code(text in ".{0,4}") {
        let two_letters = text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic());

        prop_assert_eq!(text.parse::<CountryCode>().is_ok(), two_letters);
    }

    #[test]
    fn bytes_and_text_are_parsed_alike(letters: [u8; 2]) {
        let parsed = str::from_utf8(&letters).ok().and_then(|text| text.parse().ok());

        prop_assert_eq!(CountryCode::new(letters), parsed);
    }

    #[test]
    fn codes_sort_like_their_text(one in "[A-Z]{2}", other in "[A-Z]{2}") {
        let [one_code, other_code]: [CountryCode; 2] = [one.parse()?, other.parse()?];

        prop_assert_eq!(one_code.cmp(&other_code), one.cmp(&other));
    }

    #[test]
    fn codes_round_trip_through_json(text in "[A-Z]{2}") {
        let code: CountryCode = text.parse()?;
        let json = serde_json::to_string(&code)?;

        prop_assert_eq!(&json, &format!("{text:?}"));
        prop_assert_eq!(serde_json::from_str::<CountryCode>(&json)?, code);
    }
}

#[test]
fn the_error_of_a_code_names_it_and_the_remedy() {
    let error = "Brasil".parse::<CountryCode>().expect_err("six letters");

    assert_eq!(error.input(), "Brasil");
    assert_eq!(
        error.to_string(),
        "\"Brasil\" is not a country code: write two letters from A to Z, such as BR"
    );
}

#[test]
fn deserialising_refuses_what_parsing_refuses() {
    let error = serde_json::from_str::<CountryCode>("\"B1\"").expect_err("a digit");
    assert!(
        error
            .to_string()
            .starts_with("\"B1\" is not a country code"),
        "{error}"
    );

    let error = serde_json::from_str::<CountryCode>("7").expect_err("a number");
    assert!(
        error.to_string().contains("expected a country code"),
        "{error}"
    );
}

#[test]
fn every_code_comes_once_in_order() {
    let codes: Vec<_> = CountryCode::every().map(|code| code.to_string()).collect();

    assert_eq!(codes.len(), 676);
    assert_eq!(
        [&*codes[0], &*codes[1], &*codes[26], &*codes[675]],
        ["AA", "AB", "BA", "ZZ"]
    );
    assert!(codes.is_sorted_by(|one, next| one < next));
}

#[test]
fn a_letter_selects_the_26_codes_that_begin_with_it() {
    for letter in ['B', 'b'] {
        let codes: Vec<_> = CountryCode::starting_with(letter)
            .expect("a letter")
            .collect();
        let expected = CountryCode::every().filter(|code| code.as_str().starts_with('B'));
        assert_eq!(codes, expected.collect::<Vec<_>>());
    }
    for other in ['1', 'É', 'ß', ' ', '\u{142}'] {
        assert!(CountryCode::starting_with(other).is_none(), "{other}");
    }
}

#[test]
fn a_code_can_be_a_constant_and_pads_like_text() {
    const BRAZIL: CountryCode = CountryCode::new(*b"br").unwrap();

    assert_eq!(
        format!("{BRAZIL:>4}|{:<4}|", BRAZIL.to_lowercase()),
        "  BR|br  |"
    );
}

#[test]
fn a_digest_is_written_as_sha256sum_writes_it() {
    let digest = Digest::of(b"abc");
    let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    assert_eq!(digest.to_string(), text);
    assert_eq!(format!("{digest:?}"), text);
    assert_eq!(
        serde_json::to_string(&digest).expect("JSON"),
        format!("\"{text}\"")
    );
    assert_eq!(Digest::from_bytes(*digest.as_bytes()), digest);
}
