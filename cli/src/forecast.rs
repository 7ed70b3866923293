//! The options of a forecast, and its table.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use flag_scenario::forecast::{Entry, Forecast, Ideal, Question};
use flag_scenario::wording::{bytes, counted, words};
use flag_scenario::{ClientHeaders, Cut, Ending, MAX_RUN_LEN, Scenario};
use flags_data::CountryCode;

/// What to print of the future.
#[derive(Debug, Clone, Args)]
pub struct ForecastArgs {
    /// The first N attempts at each path.
    #[arg(long, value_name = "N", default_value = "1", value_parser = attempts, allow_negative_numbers = true)]
    pub attempts: NonZeroU32,

    /// The run, as the header flag-run names it.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true, value_parser = run_name)]
    pub run: String,

    /// The metadata of each flag too, after its image.
    #[arg(long)]
    pub metadata: bool,

    /// How to print it.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: PlanFormat,
}

/// How to print the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// A table for people.
    Table,
    /// One JSON document.
    Json,
}

impl ForecastArgs {
    /// What will happen to requests of this client for these flags, as text.
    pub fn text(
        &self,
        name: &str,
        scenario: &Scenario,
        codes: &[CountryCode],
        client: &ClientHeaders,
    ) -> String {
        let forecast = Forecast::new(&Question {
            scenario,
            name,
            codes,
            attempts: self.attempts,
            run: &self.run,
            client,
            metadata: self.metadata,
        });
        match self.format {
            PlanFormat::Table => table(&forecast),
            PlanFormat::Json => forecast.json(),
        }
    }
}

fn attempts(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .ok()
        .filter(|attempts: &NonZeroU32| attempts.get() <= 1000)
        .ok_or_else(|| "give a whole number from 1 to 1000".to_owned())
}

/// A run name as the server accepts it in a request.
fn run_name(text: &str) -> Result<String, String> {
    if text.len() <= MAX_RUN_LEN && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "name the run with at most {MAX_RUN_LEN} ASCII characters"
        ))
    }
}

/// The forecast as text for people.
fn table(forecast: &Forecast) -> String {
    let with_paths = forecast
        .entries
        .windows(2)
        .any(|pair| pair[0].code == pair[1].code && pair[0].path != pair[1].path);
    let mut table = new_table();
    let of_what = if with_paths { "path" } else { "flag" };
    table.set_header([
        of_what,
        "attempt",
        "delay",
        "time",
        "what it meets",
        "rules",
    ]);
    for entry in &forecast.entries {
        let rules: Vec<&str> = entry.plan.rules.iter().map(|rule| rule.as_str()).collect();
        table.add_row([
            if with_paths {
                entry.path.clone()
            } else {
                entry.code.to_string()
            },
            entry.attempt.to_string(),
            millis(entry.plan.delay),
            entry.time.map_or("∞".to_owned(), millis),
            effects(entry),
            rules.join(","),
        ]);
    }
    align_right(&mut table, 1..=3);

    let mut text = format!("scenario {}, seed {}", forecast.scenario, forecast.seed);
    if !forecast.run.is_empty() {
        text += &format!(", run {}", forecast.run);
    }
    text += &format!("\n{table}\n{}\n", ideals(forecast));
    for note in &forecast.notes {
        text += &format!("note: {note}\n");
    }
    text
}

/// The share of an ideal time by which another order has to be able to beat it to be worth a
/// column.
const WORTH: f64 = 0.01;

/// The ideal times, or why there is none.
fn ideals(forecast: &Forecast) -> String {
    if let Some(reason) = &forecast.no_ideal {
        return format!("no ideal: {reason}");
    }
    let is_beaten = |ideal: &Ideal| {
        (ideal.makespan - ideal.bound).as_secs_f64() > WORTH * ideal.bound.as_secs_f64()
    };
    let is_order_of_weight = forecast.ideal.iter().any(is_beaten);
    let mut ideals = new_table();
    let mut header = vec!["workers", "ideal"];
    if is_order_of_weight {
        header.push("possible");
    }
    ideals.set_header(header);
    for ideal in &forecast.ideal {
        let mut row = vec![ideal.workers.to_string(), millis(ideal.makespan)];
        if is_order_of_weight {
            row.push(millis(ideal.bound));
        }
        ideals.add_row(row);
    }
    align_right(&mut ideals, 0..=2);
    let beaten = if is_order_of_weight {
        "; less than the last column is not possible in any order"
    } else {
        ""
    };
    format!("ideal times of the first attempts, in this order{beaten}:\n{ideals}")
}

/// What a request gets besides its delay, in a few words.
fn effects(Entry { plan, exists, .. }: &Entry) -> String {
    let rate = plan.pace.rate.map(|rate| format!("{rate} B/s"));
    let dribble = plan.pace.dribble.map(|dribble| dribble.to_string());
    let ending = plan.ending.as_ref().map(|ending| match ending {
        Ending::Status { status, .. } => format!("status {}", status.get()),
        Ending::Reset { after: None } => "reset".to_owned(),
        Ending::Reset { after: Some(after) } => format!("reset after {}", bytes(*after)),
        Ending::Close => "closed without a response".to_owned(),
        Ending::Truncate(Cut::After(after)) => format!("closed after {}", bytes(*after)),
        Ending::Truncate(cut) => format!("closed after {cut}"),
        Ending::Stall { after, hold } => {
            let after = after.map_or(String::new(), |after| format!(" after {}", bytes(after)));
            let hold = hold.map_or("for ever".to_owned(), |hold| format!("for {}", words(hold)));
            format!("silence{after} {hold}")
        }
        Ending::Garbage { .. } => "garbage".to_owned(),
        Ending::Corrupt { draws } => counted(draws.len() as u64, "flipped bit"),
        Ending::Redirect { hops } => counted((*hops).into(), "redirect"),
    });
    let missing = (!exists && ending.is_none()).then(|| "status 404".to_owned());
    let effects = rate.into_iter().chain(dribble).chain(ending).chain(missing);
    let effects: Vec<String> = effects.collect();
    if effects.is_empty() {
        "–".to_owned()
    } else {
        effects.join("; ")
    }
}

/// Milliseconds with three decimals, cut off: as `server-timing` has them.
fn millis(duration: Duration) -> String {
    let micros = duration.as_micros();
    format!("{}.{:03} ms", micros / 1000, micros % 1000)
}

/// Three lines: above, below the header, and below.
fn new_table() -> Table {
    let line = LineStyle::none().fill('─').junction('─');
    let mut table = Table::new();
    table.load_style(
        TableStyle::new()
            .top_border(line)
            .header_separator(line)
            .bottom_border(line),
    );
    table
}

fn align_right(table: &mut Table, columns: std::ops::RangeInclusive<usize>) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(toml: &str, codes: &[&str], client: &ClientHeaders) -> String {
        let codes: Vec<CountryCode> = codes.iter().map(|code| code.parse().unwrap()).collect();
        table(&Forecast::new(&Question {
            scenario: &Scenario::from_toml(toml).unwrap(),
            name: "test",
            codes: &codes,
            attempts: NonZeroU32::MIN,
            run: "",
            client,
            metadata: false,
        }))
    }

    #[test]
    fn an_unknown_forecast_says_so() {
        let toml = r#"
            capacity = { workers = 1, service_time = { fixed = "1s" } }
            rule = [
                { fault = "close", match = { header = { x-user = "*" } } },
                { fault = "reset", window = { from = "5s" } },
                { fault = "garbage", window = { until = "5s" }, match = { cc = "CN" } },
                { fault = "stall", match = { cc = "JP" } },
                { fault = "latency", distribution = { fixed = "100ms" } },
            ]"#;
        let codes = ["BR", "JP", "CN"];
        insta::assert_snapshot!(forecast(toml, &codes, &ClientHeaders::unknown()), @r#"
        scenario test, seed 20150223
        ───────────────────────────────────────────────────────────────────────────────────
         flag   attempt        delay         time   what it meets      rules               
        ───────────────────────────────────────────────────────────────────────────────────
         BR           1   100.000 ms   100.000 ms   –                  latency-5           
         JP           1   100.000 ms            ∞   silence for ever   stall-4,latency-5   
         CN           1   100.000 ms   100.000 ms   garbage            garbage-3,latency-5 
        ───────────────────────────────────────────────────────────────────────────────────
        no ideal: the rule close-1 depends on the header x-user, which is not known before the request
        note: the rule close-1 asks for the header x-user, which only a request has: this is computed as if none had it
        note: the rule reset-2 has a time window: this is computed as if it were not open yet
        note: the rule garbage-3 has a time window: this is computed as if it were open
        note: the server works on 1 request at a time: the ideal times count that, and the waiting for it; the times of the requests do not
        "#);
        let toml = r#"rule = [
            { fault = "close", match = { header = { x-user = "*" } } },
            { fault = "stall", match = { cc = "JP" } },
        ]"#;
        insta::assert_snapshot!(forecast(toml, &codes, &ClientHeaders::none()), @r#"
        scenario test, seed 20150223
        ───────────────────────────────────────────────────────────────────
         flag   attempt      delay       time   what it meets      rules   
        ───────────────────────────────────────────────────────────────────
         BR           1   0.000 ms   0.000 ms   –                          
         JP           1   0.000 ms          ∞   silence for ever   stall-2 
         CN           1   0.000 ms   0.000 ms   –                          
        ───────────────────────────────────────────────────────────────────
        no ideal: 1 first attempt would last for ever
        note: the rule close-1 asks for the header x-user, which the client does not send: here it never fires
        "#);
    }

    #[test]
    fn what_another_order_could_save_is_told_where_it_is_worth_it() {
        let toml = r#"rule = [
            { fault = "latency", distribution = { fixed = "100ms" } },
            { fault = "latency", distribution = { fixed = "300ms" }, match = { cc = "JP" } },
        ]"#;
        insta::assert_snapshot!(forecast(toml, &["BR", "CN", "DE", "EG", "JP"], &ClientHeaders::none()), @r"
        scenario test, seed 20150223
        ────────────────────────────────────────────────────────────────────────────────
         flag   attempt        delay         time   what it meets   rules               
        ────────────────────────────────────────────────────────────────────────────────
         BR           1   100.000 ms   100.000 ms   –               latency-1           
         CN           1   100.000 ms   100.000 ms   –               latency-1           
         DE           1   100.000 ms   100.000 ms   –               latency-1           
         EG           1   100.000 ms   100.000 ms   –               latency-1           
         JP           1   400.000 ms   400.000 ms   –               latency-1,latency-2 
        ────────────────────────────────────────────────────────────────────────────────
        ideal times of the first attempts, in this order; less than the last column is not possible in any order:
        ───────────────────────────────────
         workers        ideal     possible 
        ───────────────────────────────────
               1   800.000 ms   800.000 ms 
               2   600.000 ms   400.000 ms 
               5   400.000 ms   400.000 ms 
        ───────────────────────────────────
        ");
    }
}
