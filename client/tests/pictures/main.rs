//! Pictures and pages of measurements: what must be in them, and what must not. The page of every
//! fixture is left in `target/tmp` for visual inspection.

mod fixture;

use std::collections::HashSet;
use std::path::Path;
use std::sync::OnceLock;

use flag_client::download::{Outcome, Sample};
use flag_client::report::page;
use flag_client::report::plot::{self, Figure, Width};
use flag_client::result::{Measurement, Report};
use roxmltree::{Document, Node, ParsingOptions};

const WIDTHS: [Width; 2] = [Width::Wide, Width::Narrow];

const PLANNED: &str = "#4A8BC4";
const WAITING: &str = "#C77400";
const TRANSFER: &str = "#007658";
const FAULT: &str = "#C8102E";

/// Computed once: in a debug build the intervals take their time.
fn all_fixtures() -> &'static [(&'static str, Report)] {
    static FIXTURES: OnceLock<Vec<(&str, Report)>> = OnceLock::new();
    FIXTURES.get_or_init(|| {
        let fixtures = [
            ("bench", fixture::bench()),
            ("flaky", fixture::flaky()),
            ("all", fixture::all()),
            ("sweep", fixture::sweep()),
        ];
        let with_analysis = |(name, measurement)| (name, Report::of(measurement));
        fixtures.into_iter().map(with_analysis).collect()
    })
}

/// The picture, well-formed.
fn with_svg<T>(
    report: &Report,
    figure: Figure,
    width: Width,
    look: impl FnOnce(&Document<'_>) -> T,
) -> T {
    let svg = plot::svg(report, figure, width);
    look(&Document::parse(&svg).unwrap())
}

fn shapes<'a>(svg: &'a Document<'_>, tag: &str, attribute: &str, value: &str) -> Vec<Node<'a, 'a>> {
    let svg: &'a Document<'a> = svg;
    svg.descendants()
        .filter(|node| node.has_tag_name((SVG, tag)) && node.attribute(attribute) == Some(value))
        .collect()
}

const SVG: &str = "http://www.w3.org/2000/svg";

/// The samples of the drawn round of each series, once per panel.
fn drawn_samples(measurement: &Measurement, panels: &[usize]) -> Vec<Sample> {
    let mut samples = Vec::new();
    for &series in panels {
        let mut rounds: Vec<_> = measurement.series[series].rounds.iter().collect();
        rounds.sort_by_key(|round| round.elapsed);
        samples.extend(rounds[(rounds.len() - 1) / 2].samples.clone());
    }
    samples
}

#[test]
fn every_attempt_of_the_drawn_rounds_is_in_the_race() {
    let (_, report) = &all_fixtures()[0];
    // Threaded and async are short, so they are drawn again, zoomed.
    let samples = drawn_samples(&report.measurement, &[0, 1, 1, 2, 2]);
    for width in WIDTHS {
        with_svg(report, Figure::Race, width, |svg| {
            // One is in the legend.
            let bars = |colour| shapes(svg, "rect", "fill", colour).len() - 1;
            assert_eq!(bars(PLANNED), samples.len());
            assert_eq!(bars(WAITING), samples.len());
            assert_eq!(bars(TRANSFER), samples.len());
        });
    }
}

#[test]
fn every_error_of_the_drawn_rounds_has_a_marker() {
    let (_, report) = &all_fixtures()[1];
    let is_zoomed = |svg: &Document<'_>, series: &str| {
        let mut texts = svg.descendants().filter_map(|node| node.text());
        texts.any(|text| text.trim().starts_with(&format!("{series}, zoomed")))
    };
    with_svg(report, Figure::Race, Width::Wide, |svg| {
        let mut panels = vec![0, 1, 2];
        panels.extend(
            (1..3).filter(|&series| is_zoomed(svg, &report.measurement.series[series].name)),
        );
        let samples = drawn_samples(&report.measurement, &panels);
        let errors = samples
            .iter()
            .filter(|sample| sample.outcome.is_error())
            .count();
        let pauses = samples
            .iter()
            .filter(|sample| sample.retry_in.is_some())
            .count();
        let missing = samples
            .iter()
            .filter(|sample| sample.outcome == Outcome::NotFound)
            .count();
        assert!(errors > 0 && pauses > 0 && missing > 0);
        // A cross is two lines, and one cross is in the legend.
        assert_eq!(shapes(svg, "line", "stroke", FAULT).len(), 2 * (errors + 1));
        let rings = svg
            .descendants()
            .filter(|node| node.has_tag_name((SVG, "circle")));
        assert_eq!(rings.count(), missing + 1);
        let pauses_drawn = svg
            .descendants()
            .filter(|node| {
                node.has_tag_name((SVG, "polyline")) && node.attribute("stroke") == Some("#57606A")
            })
            .count();
        assert_eq!(pauses_drawn, pauses + 1);
    });
}

#[test]
fn all_series_of_a_race_share_an_axis() {
    let (_, report) = &all_fixtures()[0];
    with_svg(report, Figure::Race, Width::Wide, |svg| {
        // The label `1 s` is at the same place in each panel that is not zoomed.
        let texts = svg
            .descendants()
            .filter(|node| node.has_tag_name((SVG, "text")));
        let seconds: Vec<&str> = texts
            .filter(|node| node.text().is_some_and(|text| text.trim() == "1 s"))
            .map(|node| node.attribute("x").unwrap())
            .collect();
        assert_eq!(seconds.len(), 3);
        assert_eq!(seconds.iter().collect::<HashSet<_>>().len(), 1);
    });
}

#[test]
fn every_picture_is_well_formed_named_and_within_its_bounds() {
    for (name, report) in all_fixtures() {
        for figure in Figure::ALL {
            for width in WIDTHS {
                with_svg(report, figure, width, |svg| {
                    let root = svg.root_element();
                    assert_eq!(root.attribute("role"), Some("img"));
                    assert!(root.attribute("aria-label").is_some());
                    let sizes: Vec<f64> = root
                        .attribute("viewBox")
                        .unwrap()
                        .split(' ')
                        .map(|number| number.parse().unwrap())
                        .collect();
                    for node in svg.descendants() {
                        for (attribute, most) in [
                            ("x", sizes[2]),
                            ("cx", sizes[2]),
                            ("y", sizes[3]),
                            ("cy", sizes[3]),
                        ] {
                            let Some(at) = node.attribute(attribute) else {
                                continue;
                            };
                            let at: f64 = at.parse().unwrap();
                            assert!(
                                (0.0..=most).contains(&at),
                                "{name} {figure:?} {width:?}: {node:?}"
                            );
                        }
                    }
                });
            }
        }
    }
}

#[test]
fn a_page_uses_no_network_and_no_script() {
    for (name, report) in all_fixtures() {
        let html = page::html(&[(name, report)]);
        assert!(!html.contains("<script"));
        assert!(!html.contains("@import"));
        assert!(!html.contains("url("));
        for (attribute, allowed) in [
            ("href=\"", &["data:,", "#"][..]),
            ("src=\"", &[]),
            ("srcset=\"", &[]),
        ] {
            for (place, _) in html.match_indices(attribute) {
                let value = &html[place + attribute.len()..];
                assert!(
                    allowed.iter().any(|start| value.starts_with(start)),
                    "{}",
                    &value[..40]
                );
            }
        }
        // The only addresses are the name of SVG and what was measured.
        let rest = html
            .replace(&format!("xmlns=\"{SVG}\""), "")
            .replace("http://127.0.0.1:40123/flags", "");
        assert!(!rest.contains("http://") && !rest.contains("https://"));
    }
}

#[test]
fn a_page_is_reproducible_and_has_both_themes() {
    for (name, report) in all_fixtures() {
        let page = || page::html(&[(name, report)]);
        let html = page();
        assert_eq!(html, page());
        assert!(html.contains("prefers-color-scheme: dark"));
        // Every colour that is drawn has a rule.
        let (head, body) = html.split_once("<body>").unwrap();
        for attribute in ["fill=\"#", "stroke=\"#"] {
            for (place, _) in body.match_indices(attribute) {
                let drawn = &body[place..place + attribute.len() + 7];
                assert!(head.contains(&format!("svg [{drawn}]")), "{drawn}");
            }
        }
        std::fs::write(
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html")),
            html,
        )
        .unwrap();
    }
}

#[test]
fn a_page_is_well_formed() {
    for (name, report) in all_fixtures() {
        let html = page::html(&[(name, report)]);
        // HTML as XML: void elements are closed, and the style is skipped.
        let (head, body) = html.split_once("<body>").unwrap();
        assert_eq!(head.matches("<style>").count(), 1);
        let body = format!("<body>{}", body.trim_end_matches("</html>"));
        Document::parse_with_options(&body, ParsingOptions::default()).unwrap();
    }
}

#[test]
fn hostile_names_are_escaped() {
    let evil = "<script>alert(\"1\")</script>&'";
    let mut measurement = fixture::bench();
    measurement.series[1].name = evil.to_owned();
    measurement.command.push(evil.to_owned());
    measurement.started = evil.to_owned();
    let scenario = measurement.server.scenario.as_mut().unwrap();
    scenario.name = evil.to_owned();
    scenario.toml = evil.to_owned();
    measurement.environment.cpu = Some(evil.to_owned());
    let report = &Report::of(measurement);
    let html = page::html(&[(evil, report)]);
    assert!(!html.contains("<script"));
    assert!(html.contains("&lt;script&gt;"));
    for figure in Figure::ALL {
        with_svg(report, figure, Width::Wide, |svg| {
            assert!(
                !svg.descendants()
                    .any(|node| node.tag_name().name() == "script")
            );
        });
    }
    Document::parse(&plot::poster(report)).unwrap();
}

#[test]
fn a_picture_without_data_is_a_sentence() {
    let check = |measurement: &Measurement| {
        let report = &Report::of(measurement.clone());
        page::html(&[("nothing", report)]);
        for figure in Figure::ALL {
            assert!(!figure.caption(report).is_empty());
            for width in WIDTHS {
                with_svg(report, figure, width, |_| ());
            }
        }
        Document::parse(&plot::poster(report)).unwrap();
    };
    for mut whole in [fixture::bench(), fixture::sweep()] {
        whole.series.truncate(4);
        let all_series = whole.series.iter_mut();
        all_series.for_each(|series| series.rounds.truncate(2));
        let mut no_samples = whole.clone();
        for round in no_samples
            .series
            .iter_mut()
            .flat_map(|series| &mut series.rounds)
        {
            round.samples.clear();
        }
        check(&no_samples);
        let mut no_time = whole.clone();
        for round in no_time
            .series
            .iter_mut()
            .flat_map(|series| &mut series.rounds)
        {
            round.elapsed = std::time::Duration::ZERO;
            round.samples.clear();
        }
        check(&no_time);
        let mut no_plan = whole.clone();
        no_plan.plan = None;
        no_plan.interrupted = true;
        check(&no_plan);
        let mut one_round = whole.clone();
        one_round
            .series
            .iter_mut()
            .for_each(|series| series.rounds.truncate(1));
        check(&one_round);
        let mut no_rounds = whole.clone();
        no_rounds
            .series
            .iter_mut()
            .for_each(|series| series.rounds.clear());
        check(&no_rounds);
        let html = page::html(&[("none", &Report::of(no_rounds.clone()))]);
        assert!(html.contains("so there is no race to draw") && !html.contains("<svg"));
        let mut no_lanes = whole;
        no_lanes.series.clear();
        check(&no_lanes);
    }
    assert!(page::html(&[]).contains("<body>"));
}

#[test]
fn a_poster_is_a_png_of_its_size_with_text_in_our_own_font() {
    for (name, report) in all_fixtures() {
        let svg = plot::poster(report);
        Document::parse(&svg).unwrap();
        let png = plot::png(&svg).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(&png[16..24], &[0, 0, 6, 64, 0, 0, 3, 132]); // 1600 × 900
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }
    let blank = |text: &str| {
        plot::png(&format!("<svg xmlns=\"{SVG}\" width=\"200\" height=\"40\"><text y=\"30\" font-size=\"20\">{text}</text></svg>")).unwrap()
    };
    // Characters that the font lacks would be blank.
    let letters = [
        "a", "×", "µ", "σ", "κ", "λ", "²", "√", "–", "…", "≤", "≥", "%", "−", "·", "∞",
    ];
    let pictures: HashSet<Vec<u8>> = letters.into_iter().chain([""]).map(blank).collect();
    assert_eq!(pictures.len(), letters.len() + 1);
}

#[test]
fn invalid_and_oversized_pictures_are_errors() {
    assert!(matches!(plot::png("<html/>"), Err(plot::PlotError::Svg(_))));
    let huge = format!("<svg xmlns=\"{SVG}\" width=\"90000\" height=\"90000\"/>");
    assert!(matches!(
        plot::png(&huge),
        Err(plot::PlotError::Size { width: 90_000, .. })
    ));
}

#[test]
fn a_poster_of_many_series_is_taller() {
    let mut measurement = fixture::bench();
    let series = measurement.series[0].clone();
    measurement.series.extend(vec![series; 12]);
    measurement
        .series
        .iter_mut()
        .for_each(|series| series.rounds.truncate(1));
    let svg = plot::poster(&Report::of(measurement.clone()));
    let svg = Document::parse(&svg).unwrap();
    let height: f64 = svg
        .root_element()
        .attribute("height")
        .unwrap()
        .parse()
        .unwrap();
    assert!(height > 900.0);
    let rects = svg
        .descendants()
        .filter(|node| node.has_tag_name((SVG, "rect")));
    let heights = rects.filter_map(|node| node.attribute("height"));
    assert!(
        heights
            .map(|height| height.parse::<f64>().unwrap())
            .all(|height| height > 0.0)
    );
}

#[test]
fn a_page_has_a_section_for_each_measurement() {
    let fixtures = all_fixtures();
    let sections: Vec<(&str, &Report)> = fixtures
        .iter()
        .map(|(name, report)| (*name, report))
        .collect();
    let html = page::html(&sections);
    for (number, (name, ..)) in fixtures.iter().enumerate() {
        assert!(html.contains(&format!("<a href=\"#m{number}\">{name}</a>")));
        assert_eq!(html.matches(&format!("id=\"m{number}\"")).count(), 1);
    }
    assert_eq!(html.matches("<style>").count(), 1);
}

#[test]
fn a_page_says_how_to_repeat_the_measurement() {
    let mut measurement = fixture::flaky();
    measurement.series.truncate(1);
    measurement.command.push("it's here".to_owned());
    let html = page::html(&[("again", &Report::of(measurement.clone()))]);
    assert!(
        html.contains("flag-client bench --profile flaky --retries 2 -r 5 &quot;it's here&quot;")
    );
    assert!(html.contains("--seed 20150223"));
    assert!(html.contains("name = &quot;detour&quot;"));
    assert!(html.contains("Example CPU at 3 GHz"));
}
