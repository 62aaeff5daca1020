//! Metrics in Prometheus' text format (version 0.0.4).
//!
//! Names, helps and labels are `&'static str`: what is known when the program is compiled. So no address, number or name
//! of a person can become a label, whoever adds a figure later.

use std::fmt::Write as _;

/// The content type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Who has figures to show.
pub trait Figures: Send + Sync {
    /// Writes them, as they are now. It may block for as long as a look into memory or a small read of the store takes.
    fn write(&self, out: &mut Exposition);
}

impl<F: Fn(&mut Exposition) + Send + Sync> Figures for F {
    fn write(&self, out: &mut Exposition) {
        self(out);
    }
}

/// The page as it grows.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// One value of a family and the label that tells it from the others.
pub type Labelled = (&'static str, u64);

impl Exposition {
    /// A count since the start, which only grows. The name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.head(name, help, "counter");
        self.line(name, None, &value.to_string());
    }

    /// Counts that differ in the value of one label.
    pub fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: &[Labelled],
    ) {
        self.head(name, help, "counter");
        for (value, count) in values {
            self.line(name, Some((label, value)), &count.to_string());
        }
    }

    /// A quantity as it is now.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.head(name, help, "gauge");
        self.line(name, None, &value.to_string());
    }

    /// Quantities that differ in the value of one label.
    pub fn gauges(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: &[Labelled],
    ) {
        self.head(name, help, "gauge");
        for (value, quantity) in values {
            self.line(name, Some((label, value)), &quantity.to_string());
        }
    }

    /// The page.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        debug_assert!(is_name(name), "{name} is no name of a metric");
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a String does not fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn line(&mut self, name: &str, label: Option<(&str, &str)>, value: &str) {
        let _ = match label {
            Some((label, text)) => {
                debug_assert!(is_name(label), "{label} is no name of a label");
                let text = text
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                writeln!(self.text, "{name}{{{label}=\"{text}\"}} {value}")
            }
            None => writeln!(self.text, "{name} {value}"),
        };
    }
}

fn is_name(name: &str) -> bool {
    let word = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_';
    !name.is_empty()
        && name.bytes().all(word)
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_format() {
        let mut out = Exposition::default();
        out.counter("knik_a_total", "Things.\nMore \\ of them.", 3);
        out.counters(
            "knik_b_total",
            "By kind.",
            "kind",
            &[("plain", 1), ("a \"b\" \\\n", 2)],
        );
        out.gauge("knik_c_seconds", "Now.", 0.25);
        out.gauges("knik_d", "Each.", "state", &[("up", 1)]);
        let want = "# HELP knik_a_total Things.\\nMore \\\\ of them.\n# TYPE knik_a_total counter\nknik_a_total 3\n\
                    # HELP knik_b_total By kind.\n# TYPE knik_b_total counter\nknik_b_total{kind=\"plain\"} 1\n\
                    knik_b_total{kind=\"a \\\"b\\\" \\\\\\n\"} 2\n\
                    # HELP knik_c_seconds Now.\n# TYPE knik_c_seconds gauge\nknik_c_seconds 0.25\n\
                    # HELP knik_d Each.\n# TYPE knik_d gauge\nknik_d{state=\"up\"} 1\n";
        assert_eq!(out.into_text(), want);
    }
}
