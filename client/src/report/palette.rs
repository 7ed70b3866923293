//! The colours of pages and pictures. A picture is drawn with the light ones; the stylesheet of a
//! page maps each to a variable with another value in the dark theme, because a CSS rule overrides
//! an SVG attribute.
//!
//! The colours of the series keep the order of M. Okabe and K. Ito's palette for the colour-blind
//! ("Color Universal Design", 2008), darker on white and lighter on black than theirs: every mark
//! has a contrast of 3 and every text one of 4.5 (WCAG 2.2, 1.4.3 and 1.4.11).

use std::fmt::{self, Write};

use plotters::style::RGBColor;

/// A colour in both themes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour {
    name: &'static str,
    light: Rgb,
    dark: Rgb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rgb(u8, u8, u8);

impl fmt::Display for Rgb {
    /// As plotters writes it, because the selectors of the stylesheet compare the text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02X}{:02X}{:02X}", self.0, self.1, self.2)
    }
}

impl Colour {
    const fn new(name: &'static str, light: u32, dark: u32) -> Self {
        const fn rgb(hex: u32) -> Rgb {
            Rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
        }
        Self {
            name,
            light: rgb(light),
            dark: rgb(dark),
        }
    }

    /// As it is drawn.
    pub(super) const fn stroke(self) -> RGBColor {
        RGBColor(self.light.0, self.light.1, self.light.2)
    }

    /// The value of its attribute in the SVG.
    #[cfg(test)]
    pub(super) fn hex(self) -> String {
        self.light.to_string()
    }
}

pub(super) const PAPER: Colour = Colour::new("paper", 0xFF_FF_FF, 0x15_18_1D);
/// Text.
pub(super) const STROKE: Colour = Colour::new("ink", 0x1B_1F_24, 0xE8_EB_EF);
/// Secondary text, and ideal values.
pub(super) const MUTED: Colour = Colour::new("muted", 0x57_60_6A, 0xA3_AD_B8);
/// Grid lines.
pub(super) const GRID: Colour = Colour::new("grid", 0xE1_E5_EA, 0x2C_32_3A);
/// The background of every other worker.
pub(super) const BAND: Colour = Colour::new("band", 0xF3_F5_F7, 0x1D_22_28);

/// The planned delay.
pub(super) const PLANNED: Colour = Colour::new("planned", 0x4A_8B_C4, 0x5A_A2_DE);
/// All other waiting for the head of a response.
pub(super) const WAITING: Colour = Colour::new("waiting", 0xC7_74_00, 0xF2_AE_3F);
/// The body.
pub(super) const TRANSFER: Colour = Colour::new("transfer", 0x00_76_58, 0x35_D0_A0);
pub(super) const FAULT: Colour = Colour::new("fault", 0xC8_10_2E, 0xFF_70_75);

/// The colours of the series, reused in order when there are more series.
const SERIES: [Colour; 6] = [
    Colour::new("lane1", 0xBF_4A_00, 0xFF_9B_5A),
    Colour::new("lane2", 0x00_66_A6, 0x5B_B6_F2),
    Colour::new("lane3", 0x00_7A_5C, 0x3F_CC_9E),
    Colour::new("lane4", 0xA3_3F_7B, 0xE8_95_C7),
    Colour::new("lane5", 0x7A_66_00, 0xDC_C8_4C),
    Colour::new("lane6", 0x45_4F_B5, 0xA9_B1_FF),
];

const FIXED: [Colour; 9] = [
    PAPER, STROKE, MUTED, GRID, BAND, PLANNED, WAITING, TRANSFER, FAULT,
];

/// The colour of the series, or of the contender, with this index.
pub(super) const fn series(index: usize) -> Colour {
    SERIES[index % SERIES.len()]
}

/// The variables of both themes, and the rules that give them to the pictures.
pub(super) fn css() -> String {
    let all = || FIXED.into_iter().chain(SERIES);
    let mut css = String::from(":root{");
    // Writing to a String cannot fail.
    for Colour { name, light, .. } in all() {
        let _ = write!(css, "--{name}:{light};");
    }
    css += "}\n@media (prefers-color-scheme: dark){:root{";
    for Colour { name, dark, .. } in all() {
        let _ = write!(css, "--{name}:{dark};");
    }
    css += "}}\n";
    for Colour { name, light, .. } in all() {
        for attribute in ["fill", "stroke"] {
            let _ = write!(
                css,
                "svg [{attribute}=\"{light}\"]{{{attribute}:var(--{name})}}"
            );
        }
    }
    css + "\n"
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio").
    fn contrast(a: Rgb, b: Rgb) -> f64 {
        let luminance = |Rgb(r, g, b): Rgb| {
            let linear = |channel: u8| {
                let share = f64::from(channel) / 255.0;
                if share <= 0.040_45 {
                    share / 12.92
                } else {
                    ((share + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
        };
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn texts_and_marks_have_enough_contrast_in_both_themes() {
        for (theme, of) in [
            ("light", (|colour| colour.light) as fn(Colour) -> Rgb),
            ("dark", |colour| colour.dark),
        ] {
            for back in [PAPER, BAND] {
                for text in [STROKE, MUTED] {
                    let found = contrast(of(text), of(back));
                    assert!(found >= 4.5, "{theme} {}: {found:.2}", text.name);
                }
                for mark in [PLANNED, WAITING, TRANSFER, FAULT]
                    .into_iter()
                    .chain(SERIES)
                {
                    let found = contrast(of(mark), of(back));
                    assert!(found >= 3.0, "{theme} {}: {found:.2}", mark.name);
                }
            }
        }
    }

    #[test]
    fn no_two_colours_have_the_same_text() {
        let all: HashSet<String> = FIXED.into_iter().chain(SERIES).map(Colour::hex).collect();
        assert_eq!(all.len(), FIXED.len() + SERIES.len());
    }
}
