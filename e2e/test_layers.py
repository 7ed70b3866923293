"""The check of the layers, on small synthetic trees."""

import pytest
from conftest import ROOT, run

LAYERS = ROOT / ".ci" / "layers"


@pytest.fixture
def layers(tmp_path):
    """The result of the check for a crate with these files: its exit code and its lines."""

    def layers(files: dict[str, str], *options: str) -> tuple[int, list[str]]:
        for name, text in files.items():
            path = tmp_path / "made-up" / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        result = run(LAYERS, *options, tmp_path / "made-up")
        assert result.stderr == ""
        return result.returncode, result.stdout.splitlines()

    return layers


def test_a_module_is_above_those_it_uses(layers):
    files = {
        "lib.rs": "//! Doors only.\nmod clock;\nmod record;\nmod site;\npub use site::Site;\n",
        "clock.rs": "pub struct Clock;",
        "record.rs": "use crate::clock::Clock;\npub struct Record { at: Clock }",
        "site.rs": "use crate::record::{self, Record};\npub struct Site(Record, super::clock::Clock);",
    }
    assert layers(files) == (0, [
        "made-up/src/lib.rs: 3 modules, 3 arrows",
        "   1  clock.rs",
        "   2  record.rs",
        "   3  site.rs",
    ])


def test_a_circle_is_named_with_what_is_imported(layers):
    files = {
        "lib.rs": "mod hen; mod egg; mod farm;",
        "hen.rs": "use crate::egg::Egg; pub struct Hen(Option<Box<Egg>>);",
        "egg.rs": "pub enum Egg { Of(Box<crate::hen::Hen>) }",
        "farm.rs": "use crate::{egg::Egg, hen::Hen}; fn farm(_: Egg, _: Hen) {}",
    }
    assert layers(files) == (1, [
        "made-up/src/lib.rs: 3 modules, 4 arrows",
        "   1  egg.rs  hen.rs",
        "   2  farm.rs",
        "error: a circle of 2:",
        "    egg.rs uses hen.rs: Hen",
        "    hen.rs uses egg.rs: Egg",
    ])


def test_a_name_that_comes_through_doors_is_of_the_file_that_defines_it(layers):
    files = {
        "lib.rs": "mod app; mod fault; pub use fault::Reset;",
        "fault/mod.rs": "mod body; mod kinds;\npub(crate) use self::kinds::*;\npub use body::Body as Wrapped;",
        "fault/kinds/mod.rs": "mod reset; pub use reset::{Reset, hold as stall};",
        "fault/kinds/reset.rs": "pub struct Reset; pub fn hold() {}",
        "fault/body.rs": "pub struct Body;",
        "app.rs": "use crate::Reset;\nuse super::fault;\nfn app(_: Reset) -> fault::Wrapped { fault::stall() }",
    }
    code, lines = layers(files)
    assert (code, lines[1:]) == (0, ["   1  fault/body.rs  fault/kinds/reset.rs", "   2  app.rs"])


def test_an_item_with_the_name_of_its_crate_is_of_that_crate(layers):
    files = {
        "lib.rs": "mod error; mod page;",
        "error.rs": 'use anyhow::anyhow; pub fn error() -> anyhow::Error { anyhow::anyhow!("no") }',
        "page.rs": "use crate::error::error; fn page() { error(); }",
    }
    code, lines = layers(files)
    assert (code, lines[1:]) == (0, ["   1  error.rs", "   2  page.rs"])


@pytest.mark.parametrize("door", ["lib.rs", "part/mod.rs"])
@pytest.mark.parametrize(("item", "name"), [
    ("pub(crate) const fn help() {}", "help"),
    ("struct Help { a: u8 }", "Help"),
    ("impl Clone for Other { fn clone(&self) -> Self { Self } }", "impl Clone for Other"),
    ("const N: [u8; 2] = [0; 2];", "N"),
    ("macro_rules! help { () => {}; }", "help"),
    ("thread_local! { static A: u8 = 1; }", "thread_local!"),
    ("mod inner { pub struct Help; }", "Help"),
])
def test_a_door_defines_nothing(layers, door, item, name):
    files = {"lib.rs": "mod part;", "part/mod.rs": "mod other;", "part/other.rs": "pub struct Other;"}
    files[door] += f"\n{item}"
    complaint = f"error: {door} defines {name}: move that to a file of its own"
    code, lines = layers(files)
    assert (code, [line for line in lines if line.startswith("error")]) == (1, [complaint])
    assert layers(files, "--no-doors")[0] == 0


def test_a_child_that_uses_what_its_door_defines_is_in_a_circle_with_it(layers):
    files = {
        "lib.rs": "mod part;",
        "part/mod.rs": "mod child; use child::Child; pub struct Help(Child);",
        "part/child.rs": "use super::Help; pub struct Child(Option<Box<Help>>);",
    }
    code, lines = layers(files, "--no-doors")
    assert code == 1 and "    part/mod.rs uses part/child.rs: Child" in lines


def test_tests_comments_strings_and_other_crates_are_no_imports(layers):
    files = {
        "lib.rs": "mod one; mod two;\n#[cfg(test)]\nmod tests { use crate::one::One; fn f() {} }",
        "one.rs": """
            use std::one; use two_else::two;
            // crate::two::Two
            /* crate::two::Two /* nested */ crate::two::Two */
            pub const TEXT: &str = "crate::two::Two";
            pub const RAW: &str = r#" " crate::two::Two "#;
            pub const QUOTE: char = '"'; pub fn f<'a>(it: &'a str) -> &'a str { it.two::<u8>(); it }
            pub struct One;
            #[cfg(test)]
            mod tests { use super::*; use crate::two::Two; }
        """,
        "two.rs": "pub struct Two(crate::one::One);",
    }
    code, lines = layers(files)
    assert (code, lines[1:]) == (0, ["   1  one.rs", "   2  two.rs"])


def test_imports_within_functions_serde_and_inline_modules_count(layers):
    files = {
        "lib.rs": "mod a; mod b; mod c; mod millis;",
        "a.rs": "pub fn a() {}",
        "b.rs": "pub fn b() { use crate::a::a; a() }",
        "c.rs": 'mod unix { pub fn c() { super::super::b::b() } }\n'
                'struct C { #[serde(with = "crate::millis")] d: u8 }',
        "millis.rs": "pub fn serialize() {}",
    }
    code, lines = layers(files)
    assert (code, lines) == (0, [
        "made-up/src/lib.rs: 4 modules, 3 arrows", "   1  a.rs  millis.rs", "   2  b.rs", "   3  c.rs",
    ])


def test_folders_can_be_checked_as_units(layers):
    """Four files without a circle, of which two folders make one."""
    files = {
        "lib.rs": "mod race; mod result;",
        "race/mod.rs": "mod round; mod run;",
        "race/round.rs": "pub struct Round;",
        "race/run.rs": "use crate::result::Document; pub fn run() -> Document { todo!() }",
        "result/mod.rs": "mod document; pub use document::Document;",
        "result/document.rs": "use crate::race::round::Round; pub struct Document(Round);",
    }
    assert layers(files)[0] == 0
    code, lines = layers(files, "--folders")
    assert (code, lines[1:]) == (1, [
        "   1  race/  result/",
        "error: a circle of 2:",
        "    race/ uses result/: Document",
        "    result/ uses race/: Round",
    ])


def test_a_program_has_modules_of_its_own(layers):
    files = {
        "lib.rs": "mod one;",
        "one.rs": "pub struct One;",
        "bin/program/main.rs": "mod args; fn main() { args::read(); made_up::One; }",
        "bin/program/args.rs": "pub fn read() {}",
    }
    code, lines = layers(files)
    assert code == 0 and lines[2:] == [
        "made-up/src/bin/program/main.rs: 2 modules, 1 arrows", "   1  args.rs", "   2  main.rs",
    ]
