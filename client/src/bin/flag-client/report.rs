//! `flag-client report`: results that were saved, reported again.

use anyhow::bail;
use flag_client::report::json::{self, Written};
use flag_client::report::table;
use flag_client::result::{LoadResult, Report, threshold};

use crate::exit::{REGRESSED, Usage};
use crate::export::{NamedReport, Stage};
use crate::measure::known_contenders;
use crate::output::{Output, print_thresholds};
use crate::spec::ReportSpec;
use crate::terminal::width;

/// Reports them, and judges them by the thresholds.
pub(crate) fn report(spec: &ReportSpec) -> anyhow::Result<u8> {
    let output = &spec.output;
    let mut results = Vec::new();
    for file in &spec.files {
        let measurement = match json::read_any(file)? {
            Written::Measurement(measurement) => *measurement,
            Written::Load(result) if spec.files.len() == 1 => return report_load(&result, output),
            Written::Load(_) => bail!(Usage(format!(
                "{}: is the result of a load; name it as the single FILE to report",
                file.display()
            ))),
        };
        results.push(NamedReport {
            name: file.display().to_string(),
            report: Report::of(measurement),
        });
    }
    let mut all_met = true;
    for result in &results {
        let NamedReport { name, report } = result;
        let measurement = &report.measurement;
        threshold::check_names(&output.thresholds, measurement, &known_contenders())?;
        let mut text = table::whole(report, width(), spec.is_verbose);
        if results.len() > 1 {
            text = format!("{name}\n{text}\n");
        }
        output.exports.save(result, Stage::Last)?;
        output.print(report, &text);
        all_met &= output.judge(report);
    }
    output.exports.save_pictures(&results, Stage::Last)?;
    Ok(if all_met { 0 } else { REGRESSED })
}

fn report_load(result: &LoadResult, output: &Output) -> anyhow::Result<u8> {
    output.exports.check_load()?;
    threshold::check_load_metrics(&output.thresholds)?;
    output.print_load(result)?;
    let checked = threshold::check_load(&output.thresholds, result);
    let all_met = print_thresholds(&checked, output.prints_text());
    output.exports.save_load(result)?;
    Ok(if all_met { 0 } else { REGRESSED })
}
