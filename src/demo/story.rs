//! The numbered account: what was done, and what came of it. As JSON: one line for each step.

use std::path::Path;
use std::time::Instant;

use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::output::{Output, printable};

/// The account as it is told.
pub struct Story<'a> {
    out: &'a mut Output,
    step: u32,
    title: String,
    told: Vec<String>,
    begun: Instant,
}

impl<'a> Story<'a> {
    /// An account that nothing has been told of.
    pub fn new(out: &'a mut Output) -> Self {
        Self {
            out,
            step: 0,
            title: String::new(),
            told: Vec::new(),
            begun: Instant::now(),
        }
    }

    /// Begins the next step; the one before has held.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub fn step(&mut self, title: &str) -> Outcome {
        self.held()?;
        self.step += 1;
        self.title = title.to_owned();
        if !self.out.json() {
            self.out.text(&format!("\n{:2}. {title}", self.step))?;
        }
        self.out.flush()
    }

    /// Something that came of the step.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub fn tell(&mut self, what: impl AsRef<str>) -> Outcome {
        let what = printable(what.as_ref());
        if !self.out.json() {
            self.out.text(&format!("    {what}"))?;
        }
        self.told.push(what);
        self.out.flush()
    }

    /// Lines as they are, such as instructions.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub fn lines(&mut self, text: &str) -> Outcome {
        text.lines().try_for_each(|line| self.tell(line))
    }

    /// The failure with the step in which it happened.
    pub fn broken(&mut self, failure: &Failure) -> Failure {
        let text = format!(
            "step {} ({}) did not hold: {failure}",
            self.step, self.title
        );
        match failure {
            Failure::OutputClosed => Failure::OutputClosed,
            _ => Failure::is_false(text),
        }
    }

    /// The end: every step held.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub fn end(&mut self, kept: Option<&Path>) -> Outcome {
        let steps = self.step;
        self.held()?;
        let seconds = self.begun.elapsed().as_secs_f32();
        let kept = kept.map_or(String::new(), |dir| {
            format!(" It is all in {}.", dir.display())
        });
        if !self.out.json() {
            self.out.text(&format!(
                "\nEvery one of {steps} steps held, in {seconds:.1} s.{kept}"
            ))?;
        }
        self.out.flush()
    }

    fn held(&mut self) -> Outcome {
        let told = std::mem::take(&mut self.told);
        if self.step > 0 && self.out.json() {
            let json =
                json!({ "step": self.step, "title": self.title, "told": told, "held": true });
            self.out.document(&json, String::new)?;
        }
        self.out.flush()
    }
}

/// What must be so.
///
/// # Errors
/// What was expected, if it is not so.
pub fn must(so: bool, expected: impl FnOnce() -> String) -> Outcome {
    if so {
        Ok(())
    } else {
        Err(Failure::is_false(expected()))
    }
}
