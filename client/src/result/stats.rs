//! Numbers from numbers. Pure: it neither measures nor prints, and knows no samples. Every rule
//! states its source. Written by hand, because these rules are what the reports promise: statrs has
//! no bootstrap intervals, and its quantiles follow another rule.

use std::time::Duration;

/// The value that a share of `percent` % of the values does not exceed: the one percentile rule of
/// this program.
///
/// Of the sorted values x₀ … xₙ₋₁ it is the one at the place `h = (n − 1) × percent / 100`, and
/// between two places in proportion: number 7 of R. J. Hyndman and Y. Fan ("Sample Quantiles in
/// Statistical Packages", The American Statistician 50, 1996), as in NumPy and R. The 50th is the
/// ordinary median; the 99th of 100 values is not the largest. None of no values; NaN is not a
/// value.
pub fn percentile(sorted: &[f64], percent: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = last as f64 * percent.clamp(0.0, 100.0) / 100.0;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    let (low, high) = (sorted[below], sorted[above]);
    // Nothing is computed where nothing has to be: an exact place gives an exact value.
    // Between two infinite values there is nothing else.
    Some(if below == above || low == high {
        low
    } else {
        low + (high - low) * (place - below as f64)
    })
}

/// The same values in order.
pub fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The middle value, or the mean of the two in the middle: the 50th [`percentile`]. None of
/// nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    percentile(&sorted(values.to_vec()), 50.0)
}

/// Which values are far above the rest, by their indices: those whose modified z-score
/// `0.6745 (x − median) / MAD` is above 3.5 (B. Iglewicz and D. C. Hoaglin, "How to Detect and
/// Handle Outliers", 1993). None when more than half of the values are equal: a MAD of zero is no
/// measure of what is usual.
pub fn high_outliers(values: &[f64]) -> Vec<usize> {
    let Some(middle) = median(values) else {
        return Vec::new();
    };
    let deviations: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    let mad = median(&deviations).unwrap_or_default();
    let is_high = |value: f64| mad > 0.0 && 0.6745 * (value - middle) / mad > 3.5;
    let all = values.iter().enumerate();
    all.filter_map(|(index, &value)| is_high(value).then_some(index))
        .collect()
}

/// How often `divisor` goes into `dividend`: the speed-up of a time over a reference, the
/// efficiency of a time against the ideal. None when either is zero: then it means nothing.
pub fn ratio(dividend: Duration, divisor: Duration) -> Option<f64> {
    (!dividend.is_zero() && !divisor.is_zero())
        .then(|| dividend.as_secs_f64() / divisor.as_secs_f64())
}

/// Milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}

/// How the ratio of measured to ideal times grows with the number of workers:
/// `y(N) = a (1 + σ(N − 1) + κN(N − 1))`.
///
/// It is the denominator of the Universal Scalability Law of N. J. Gunther ("Guerrilla Capacity
/// Planning", 2007, ch. 4–6). Without the ideal, σ would be the shape of the job, which even a
/// perfect client cannot share out evenly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Growth {
    /// a: the ratio at one worker.
    pub scale: f64,
    /// σ: by which share of that each further worker makes it grow.
    pub sigma: f64,
    /// κ: the same for each pair of workers.
    pub kappa: f64,
}

impl Growth {
    /// Fits it to points (workers, ratio). None where they do not determine it, as with fewer than
    /// three different numbers of workers.
    ///
    /// `y` is linear in `a`, `aσ` and `aκ`; they are found by least squares, weighted so that
    /// relative errors count. Nothing is held at zero: of no growth, noise makes σ and κ as often
    /// negative as positive, and only so can an interval hold 0 as often as it claims.
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        if points.iter().any(|&(n, y)| n < 1.0 || y <= 0.0) {
            return None;
        }
        let [scale, sigma, kappa] = least_squares(points)?;
        (scale > 0.0).then(|| Self {
            scale,
            sigma: sigma / scale,
            kappa: kappa / scale,
        })
    }

    /// One of each round that all levels have: `levels` are numbers of workers with the ratios of
    /// their rounds, in the order of the rounds. None where one cannot be fitted.
    pub fn per_round(levels: &[(f64, Vec<f64>)]) -> Option<Vec<Self>> {
        let rounds = levels.iter().map(|(_, ratios)| ratios.len()).min()?;
        let fit = |round: usize| {
            let points = levels
                .iter()
                .map(|(workers, ratios)| (*workers, ratios[round]));
            Self::fit(&points.collect::<Vec<_>>())
        };
        (0..rounds).map(fit).collect()
    }
}

/// The `a`, `b` and `c` for which `y ≈ a + b(N − 1) + cN(N − 1)`, each error as a share of `y`.
/// None where the points do not determine them.
fn least_squares(points: &[(f64, f64)]) -> Option<[f64; 3]> {
    let mut workers = sorted(points.iter().map(|point| point.0).collect());
    workers.dedup();
    if workers.len() < 3 {
        return None;
    }
    // The normal equations, with the right-hand side as the last column.
    let mut rows = [[0.0; 4]; 3];
    for &(n, y) in points {
        let terms = [1.0 / y, (n - 1.0) / y, n * (n - 1.0) / y];
        for (row, factor) in rows.iter_mut().zip(terms) {
            for (cell, term) in row.iter_mut().zip(terms.into_iter().chain([1.0])) {
                *cell += factor * term;
            }
        }
    }
    // Gauss–Jordan. The matrix is positive definite, so no rows have to change places.
    for pivot in 0..3 {
        let scale = rows[pivot][pivot];
        if scale.abs() < f64::MIN_POSITIVE {
            return None;
        }
        rows[pivot] = rows[pivot].map(|cell| cell / scale);
        let reduced = rows[pivot];
        for (_, row) in rows
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| *index != pivot)
        {
            let factor = row[pivot];
            for (cell, reduced) in row.iter_mut().zip(reduced) {
                *cell -= factor * reduced;
            }
        }
    }
    let solution = rows.map(|row| row[3]);
    solution
        .iter()
        .all(|value| value.is_finite())
        .then_some(solution)
}

/// The number of workers that would do if all scaled as the fewest do: where the line through the
/// origin and the fewest workers meets the highest throughput, as the two asymptotic bounds of a
/// closed system meet (E. D. Lazowska et al., "Quantitative System Performance", 1984, ch. 5).
/// `points` are (workers, throughput). None if at the most workers the throughput was still nine
/// tenths of the line or more, or without points.
pub fn knee(points: &[(f64, f64)]) -> Option<f64> {
    let first = points.iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    let last = points.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let per_worker = first.1 / first.0;
    let highest = points.iter().map(|point| point.1).max_by(f64::total_cmp)?;
    let is_bent = last.0 > first.0 && last.1 < 0.9 * per_worker * last.0;
    is_bent.then(|| highest / per_worker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_interpolated_by_hand() {
        // h = (5 − 1) × p / 100
        let values = [10.0, 20.0, 40.0, 80.0, 160.0];
        for (percent, expected) in [
            (0.0, 10.0),
            (25.0, 20.0),
            (50.0, 40.0),
            (90.0, 80.0 + 0.6 * 80.0), // h = 3.6
            (100.0, 160.0),
        ] {
            let found = percentile(&values, percent).unwrap();
            assert!((found - expected).abs() < 1e-9, "{percent}: {found}");
        }
        assert_eq!(percentile(&[], 50.0), None);
        assert_eq!(percentile(&[7.0], 99.0), Some(7.0));
    }

    #[test]
    fn the_99th_percentile_of_100_values_is_not_the_largest() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        // h = 98.01: a hundredth of the way from 99 to 100.
        assert!((percentile(&values, 99.0).unwrap() - 99.01).abs() < 1e-9);
    }

    #[test]
    fn the_median_of_an_odd_count_is_the_middle_and_of_an_even_count_the_mean_of_two() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    /// The median is 3, the deviations 2 1 0 1 97, so the MAD is 1: the score of 100 is 0.6745 × 97
    /// = 65.4, that of 5 is 1.3.
    #[test]
    fn an_outlier_is_far_above_the_rest_and_none_where_most_are_equal() {
        assert_eq!(high_outliers(&[1.0, 2.0, 3.0, 4.0, 100.0]), [4]);
        assert_eq!(high_outliers(&[1.0, 2.0, 3.0, 4.0, 5.0]), [0; 0]);
        assert_eq!(high_outliers(&[-100.0, 2.0, 3.0, 4.0, 5.0]), [0; 0]);
        // Above 3 + 3.5 / 0.6745 = 8.189 and not at it.
        assert_eq!(high_outliers(&[1.0, 2.0, 3.0, 4.0, 8.1]), [0; 0]);
        assert_eq!(high_outliers(&[1.0, 2.0, 3.0, 4.0, 8.3]), [4]);
        assert_eq!(high_outliers(&[2.0, 2.0, 2.0, 900.0]), [0; 0], "MAD 0");
        assert_eq!(high_outliers(&[]), [0; 0]);
    }

    #[test]
    fn a_ratio_without_a_meaning_is_none() {
        let second = Duration::from_secs(1);
        assert_eq!(ratio(second, second / 2), Some(2.0));
        assert_eq!(ratio(second, Duration::ZERO), None);
        assert_eq!(ratio(Duration::ZERO, second), None);
    }

    /// a = 2, σ = 1/10, κ = 1/100: y(1) = 2, y(2) = 2.24, y(5) = 3.2, y(10) = 5.6.
    #[test]
    fn the_growth_of_exact_points_is_found_again() {
        let points = [(1.0, 2.0), (2.0, 2.24), (5.0, 3.2), (10.0, 5.6)];
        let growth = Growth::fit(&points).unwrap();
        assert!((growth.scale - 2.0).abs() < 1e-9, "{growth:?}");
        assert!((growth.sigma - 0.1).abs() < 1e-9, "{growth:?}");
        assert!((growth.kappa - 0.01).abs() < 1e-9, "{growth:?}");
    }

    /// y = 1 − 0.01 (N − 1) is better than in proportion, and found as it is.
    #[test]
    fn nothing_is_held_at_zero() {
        let growth = Growth::fit(&[(1.0, 1.0), (2.0, 0.99), (30.0, 0.71)]).unwrap();
        assert!((growth.sigma + 0.01).abs() < 1e-9, "{growth:?}");
        assert!(growth.kappa.abs() < 1e-9, "{growth:?}");
    }

    #[test]
    fn two_numbers_of_workers_determine_no_growth() {
        assert_eq!(Growth::fit(&[(1.0, 7.0), (2.0, 14.0)]), None);
        assert_eq!(Growth::fit(&[(1.0, 7.0), (1.0, 8.0), (2.0, 14.0)]), None);
        assert_eq!(Growth::fit(&[(1.0, 7.0), (2.0, 0.0), (3.0, 1.0)]), None);
    }

    #[test]
    fn each_round_has_its_own_growth() {
        let levels = [
            (1.0, vec![1.0, 1.0, 1.0]),
            (2.0, vec![1.0, 1.1]),
            (3.0, vec![1.0, 1.2, 7.0]),
        ];
        let rounds = Growth::per_round(&levels).unwrap();
        assert_eq!(rounds.len(), 2, "the third is not complete");
        assert!(rounds[0].sigma.abs() < 1e-9 && (rounds[1].sigma - 0.1).abs() < 1e-9);
    }

    /// Eight servers of 20 per second each: the line 20 N meets 160 at 8.
    #[test]
    fn the_knee_is_where_the_line_meets_the_ceiling() {
        let saturated = [
            (1.0, 20.0),
            (2.0, 40.0),
            (5.0, 100.0),
            (10.0, 160.0),
            (30.0, 159.0),
        ];
        assert_eq!(knee(&saturated), Some(8.0));
        assert_eq!(knee(&saturated[..3]), None, "still a line");
        assert_eq!(knee(&saturated[..1]), None);
        assert_eq!(knee(&[]), None);
    }

    proptest! {
        #[test]
        fn a_growth_is_found_from_its_own_points(
            scale in 0.5_f64..10.0,
            sigma in -0.01_f64..0.9,
            kappa in 0.0_f64..0.1,
        ) {
            let ratio = |n: f64| scale * (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0));
            let points: Vec<_> = [1.0, 2.0, 5.0, 10.0, 30.0].map(|n| (n, ratio(n))).into();
            let found = Growth::fit(&points).unwrap();
            prop_assert!((found.scale / scale - 1.0).abs() < 1e-6, "{:?}", found);
            prop_assert!((found.sigma - sigma).abs() < 1e-6, "{:?}", found);
            prop_assert!((found.kappa - kappa).abs() < 1e-6, "{:?}", found);
        }
    }
}
