//! Who won: only contenders that did the whole job take part, and a winner is named only if it won.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::result::interval::{FEWEST, Interval, Looks};
use crate::result::stats;

/// Who won, as far as the rounds can say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ranking {
    /// Fewer than two contenders did the whole job: nothing can be compared.
    NothingToCompare,
    /// There are too few rounds to name a winner.
    TooFewRounds {
        /// The rounds of each contender.
        rounds: usize,
    },
    /// This one was faster than every other.
    Winner {
        /// The series.
        name: String,
    },
    /// No difference was found between these; any others were slower.
    NoDifference {
        /// The series, the one with the least median first.
        names: Vec<String>,
    },
}

impl Ranking {
    /// Ranks contenders by the times of their rounds, which are paired: the n-th rounds of all of
    /// them belong together.
    ///
    /// The one with the least median wins if the interval of the paired ratio against every other
    /// is above 1. It was chosen because it has the least median; that all intervals have to
    /// exclude 1 is what makes up for the choice (`tests/truth.rs`: of equal contenders, one wins
    /// in at most 6 % of races).
    pub fn of(contenders: &[(&str, Vec<f64>)], looks: Looks) -> Self {
        let medians = contenders.iter().filter_map(|contender| {
            let (name, times) = contender;
            Some((*name, times, stats::median(times)?))
        });
        let mut ranked: Vec<(&str, &Vec<f64>, f64)> = medians.collect();
        if ranked.len() < 2 {
            return Self::NothingToCompare;
        }
        ranked.sort_by(|a, b| a.2.total_cmp(&b.2));
        let rounds = ranked.iter().map(|(_, times, _)| times.len()).min();
        let rounds = rounds.unwrap_or_default();
        if rounds < FEWEST {
            return Self::TooFewRounds { rounds };
        }
        let (best, best_times, _) = ranked[0];
        let is_no_slower = |times: &[f64]| {
            let pairs = times.iter().zip(best_times);
            let ratios: Vec<f64> = pairs.map(|(time, best)| time / best).collect();
            Interval::of_ratios(&ratios, looks).is_none_or(|ratio| ratio.lower <= 1.0)
        };
        let equals = ranked[1..]
            .iter()
            .filter(|(_, times, _)| is_no_slower(times))
            .map(|(name, ..)| (*name).to_owned());
        let mut names = vec![best.to_owned()];
        names.extend(equals);
        if names.len() == 1 {
            Self::Winner {
                name: best.to_owned(),
            }
        } else {
            Self::NoDifference { names }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six rounds about this time.
    fn about(millis: f64) -> Vec<f64> {
        let factors = [1.0, 1.01, 0.99, 1.02, 0.98, 1.005];
        factors.map(|factor| millis * factor).to_vec()
    }

    fn rank(contenders: &[(&str, Vec<f64>)]) -> Ranking {
        Ranking::of(contenders, Looks::One)
    }

    fn names(names: &[&str]) -> Ranking {
        Ranking::NoDifference {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn the_fastest_wins_only_against_every_other() {
        let winner = rank(&[("slow", about(200.0)), ("fast", about(100.0))]);
        assert_eq!(
            winner,
            Ranking::Winner {
                name: "fast".to_owned()
            }
        );
        let mut equal = about(100.0);
        equal.rotate_left(1);
        let tie = rank(&[
            ("slow", about(200.0)),
            ("fast", about(99.9)),
            ("equal", equal),
        ]);
        assert_eq!(tie, names(&["fast", "equal"]));
    }

    #[test]
    fn a_contender_against_itself_never_wins() {
        let itself = rank(&[("a", about(100.0)), ("b", about(100.0))]);
        assert_eq!(itself, names(&["a", "b"]));
    }

    #[test]
    fn too_few_rounds_name_nobody_however_far_they_are_apart() {
        let five = |millis| about(millis)[..5].to_vec();
        let found = rank(&[("slow", five(900.0)), ("fast", five(1.0))]);
        assert_eq!(found, Ranking::TooFewRounds { rounds: 5 });
    }

    #[test]
    fn one_alone_or_none_is_no_race() {
        assert_eq!(rank(&[]), Ranking::NothingToCompare);
        assert_eq!(
            rank(&[("a", about(1.0)), ("b", Vec::new())]),
            Ranking::NothingToCompare
        );
    }
}
