//! What the listeners have counted, in the text format of Prometheus.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::counts::LATE_LIMITS;
use crate::listeners::Listeners;
use crate::record::End;
use crate::record_log::RecordLog;

/// What the text is.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All counts, as they are now.
pub(super) fn text(listeners: &Arc<Listeners>) -> String {
    let mut registry = Registry::with_prefix("flag_server");
    registry.register_collector(Box::new(Watched(Arc::clone(listeners))));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry).expect("writing to a string does not fail");
    text
}

#[derive(Debug)]
struct Watched(Arc<Listeners>);

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.requests(&mut encoder)?;
        self.lateness(&mut encoder)?;
        self.number(
            &mut encoder,
            ("requests_without_record", "Requests that have no record"),
            MetricType::Counter,
            RecordLog::unrecorded,
        )?;
        self.number(
            &mut encoder,
            ("connections", "Connections that were accepted"),
            MetricType::Counter,
            |log| log.counts().accepted(),
        )?;
        self.number(
            &mut encoder,
            ("connections_open", "Connections that are open"),
            MetricType::Gauge,
            |log| log.counts().open(),
        )?;
        self.forgotten(&mut encoder)
    }
}

impl Watched {
    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests that are over, by the rules that fired and by the end of the response";
        let mut family = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for (listener, log) in self.0.logs() {
            for ((rules, end), count) in log.counts().requests() {
                let labels = [("listener", listener), ("rule", &rules), ("end", name(end))];
                let mut counter = family.encode_family(&labels)?;
                counter.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        Ok(())
    }

    fn lateness(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "How much later than planned responses began";
        let unit = Some(&Unit::Seconds);
        let mut family =
            encoder.encode_descriptor("lateness", help, unit, MetricType::Histogram)?;
        for (listener, log) in self.0.logs() {
            let late = log.counts().lateness();
            // The class beyond the last limit is what is left of the count.
            let buckets: Vec<(f64, u64)> = LATE_LIMITS.into_iter().zip(late.counts).collect();
            let labels = [("listener", listener)];
            let mut histogram = family.encode_family(&labels)?;
            let count = late.counts.iter().sum();
            histogram.encode_histogram::<NoLabelSet>(late.sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn number(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        kind: MetricType,
        of: impl Fn(&RecordLog) -> u64,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for (listener, log) in self.0.logs() {
            let labels = [("listener", listener)];
            let mut metric = family.encode_family(&labels)?;
            match kind {
                MetricType::Gauge => metric.encode_gauge(&of(log))?,
                _ => metric.encode_counter::<NoLabelSet, _, u64>(&of(log), None)?,
            }
        }
        Ok(())
    }

    fn forgotten(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Runs of which something is forgotten, because there were too many";
        let mut family =
            encoder.encode_descriptor("runs_forgotten", help, None, MetricType::Counter)?;
        for (listener, log) in self.0.logs() {
            let (attempts, records) = log.counts().forgotten();
            for (what, count) in [("attempts", attempts), ("records", records)] {
                let labels = [("listener", listener), ("what", what)];
                let mut counter = family.encode_family(&labels)?;
                counter.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        Ok(())
    }
}

/// As records name it.
fn name(end: End) -> &'static str {
    match end {
        End::Whole => "whole",
        End::Reset => "reset",
        End::Closed => "closed",
        End::Garbage => "garbage",
        End::Left => "left",
    }
}
