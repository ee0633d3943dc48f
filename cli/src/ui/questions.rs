//! Questions to whoever sits at the terminal.

use std::fmt::Display;

use anyhow::Result;
use dialoguer::{Confirm, Input, Select};

use super::{Ui, password};
use crate::{error::problem, interrupt};

impl Ui {
    /// Lets what cannot be taken back be confirmed: by `yes`, which the option `--yes` says, or by a
    /// person. Where neither is there it is refused, so that no script loses anything unasked.
    /// `otherwise` says what has become of it when the answer is no.
    pub fn confirm(&self, yes: bool, question: &str, otherwise: &str) -> Result<()> {
        if yes {
            return Ok(());
        }
        if !self.can_ask() {
            return Err(problem(
                format!("nobody is there to confirm this: {question}"),
                "add --yes, or run it on a terminal",
            ));
        }
        match self.yes_or_no(question, false)? {
            true => Ok(()),
            false => Err(problem(otherwise, "")),
        }
    }

    /// Asks a question with two answers. Only where somebody [can be asked](Ui::can_ask).
    pub fn yes_or_no(&self, question: &str, default: impl Into<Option<bool>>) -> Result<bool> {
        interrupt::note_interrupts();
        let question = Confirm::new().with_prompt(question);
        let question = match default.into() {
            Some(default) => question.default(default),
            None => question,
        };
        Ok(question.interact()?)
    }

    /// Asks for a name to be typed, and says whether it was. Only where somebody
    /// [can be asked](Ui::can_ask).
    pub fn is_typed(&self, name: &str, question: &str) -> Result<bool> {
        interrupt::note_interrupts();
        let question = Input::<String>::new().with_prompt(question);
        Ok(question.allow_empty(true).interact_text()?.trim() == name)
    }

    /// Asks for one of several ways, and gives its place among them. Only where somebody
    /// [can be asked](Ui::can_ask).
    pub fn choose(&self, question: &str, ways: &[impl Display], default: usize) -> Result<usize> {
        interrupt::note_interrupts();
        let question = Select::new().with_prompt(question).items(ways);
        Ok(question.default(default).interact()?)
    }

    /// Asks for a line that is not empty, and asks again as long as `check` refuses it. Only where
    /// somebody [can be asked](Ui::can_ask).
    pub fn line(
        &self,
        question: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<()>,
    ) -> Result<String> {
        interrupt::note_interrupts();
        let question = Input::<String>::new()
            .with_prompt(question)
            .validate_with(|line: &String| check(line).map_err(|error| error.to_string()));
        let question = match default {
            Some(default) => question.default(default.to_owned()),
            None => question,
        };
        Ok(question.interact_text()?)
    }

    /// Asks for something that is not shown while it is typed. Only where somebody
    /// [can be asked](Ui::can_ask).
    pub fn password(&self, question: &str) -> Result<String> {
        interrupt::note_interrupts();
        password::ask(question)
    }
}
