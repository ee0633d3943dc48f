//! Fills in texts with as much of Liquid as our own templates use: values, `replace`, conditions with
//! `==`, `!=`, `contains` and `or`, `raw`, and hyphens that take the white space away.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// What a text is filled in with.
pub type Values = BTreeMap<String, String>;

/// Fills in a text.
pub fn fill(text: &str, values: &Values) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut open: Vec<Choice> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("{%").into_iter().chain(rest.find("{{")).min() {
        let (before, markup) = rest.split_at(at);
        let markup = Markup::read(markup)?;
        let writes = open.last().is_none_or(|choice| choice.writes);
        if writes {
            filled.push_str(markup.trim_before(before));
        }
        rest = markup.rest;
        if !markup.is_tag {
            if writes {
                filled.push_str(&evaluate(markup.inner, values)?);
            }
            continue;
        }
        let (tag, condition) = markup.inner.split_once(BLANK).unwrap_or((markup.inner, ""));
        match tag {
            "raw" => {
                let at = end_of_raw(rest).context("`raw` has no end")?;
                let (verbatim, end) = rest.split_at(at);
                let end = Markup::read(end)?;
                if writes {
                    filled.push_str(end.trim_before(verbatim));
                }
                rest = end.rest;
            }
            "if" => {
                let holds = holds(condition, values)?;
                open.push(Choice {
                    surroundings: writes,
                    taken: holds,
                    writes: writes && holds,
                });
            }
            "elsif" | "else" => {
                let holds = tag == "else" || holds(condition, values)?;
                let choice = open
                    .last_mut()
                    .with_context(|| format!("`{tag}` without `if`"))?;
                choice.writes = choice.surroundings && !choice.taken && holds;
                choice.taken |= holds;
            }
            "endif" => {
                open.pop().context("`endif` without `if`")?;
            }
            other => bail!("`{other}` is not known"),
        }
    }
    if !open.is_empty() {
        bail!("`if` has no end");
    }
    filled.push_str(rest);
    Ok(filled)
}

const BLANK: [char; 3] = [' ', '\n', '\r'];

/// An `if` that has not ended.
struct Choice {
    /// What is around it is written.
    surroundings: bool,
    /// One of its branches was the right one.
    taken: bool,
    /// The branch that is read is the right one.
    writes: bool,
}

/// `{{ … }}` or `{% … %}`.
struct Markup<'a> {
    is_tag: bool,
    trims_before: bool,
    inner: &'a str,
    /// What comes behind it.
    rest: &'a str,
}

impl<'a> Markup<'a> {
    /// Reads it from the beginning of a text.
    fn read(text: &'a str) -> Result<Self> {
        let is_tag = text.starts_with("{%");
        let end = if is_tag { "%}" } else { "}}" };
        let (inner, rest) = text.split_once(end).with_context(|| {
            let line = text.lines().next().unwrap_or_default();
            format!("`{line}` has no `{end}`")
        })?;
        let inner = inner.get(2..).unwrap_or_default();
        let (trims_before, inner) = match inner.strip_prefix('-') {
            Some(inner) => (true, inner),
            None => (false, inner),
        };
        let (inner, rest) = match inner.strip_suffix('-') {
            Some(inner) => (inner, rest.trim_start_matches(BLANK)),
            None => (inner, rest),
        };
        Ok(Self {
            is_tag,
            trims_before,
            inner: inner.trim_matches(BLANK),
            rest,
        })
    }

    fn trim_before<'b>(&self, text: &'b str) -> &'b str {
        match self.trims_before {
            true => text.trim_end_matches(BLANK),
            false => text,
        }
    }
}

/// Where the tag stands that ends what is taken as it is.
fn end_of_raw(text: &str) -> Option<usize> {
    let is_end = |at: &usize| {
        let tag = text.get(at + 2..).unwrap_or_default();
        let tag = tag.strip_prefix('-').unwrap_or(tag);
        tag.trim_start_matches(BLANK).starts_with("endraw")
    };
    text.match_indices("{%").map(|(at, _)| at).find(is_end)
}

/// The value of `operand | replace: operand, operand | …`.
fn evaluate(text: &str, values: &Values) -> Result<String> {
    let words = words(text)?;
    let mut steps = words.split(|word| *word == "|");
    let mut value = match steps.next() {
        Some(&[word]) => operand(word, values)?.to_owned(),
        _ => bail!("`{text}` is no value"),
    };
    for step in steps {
        match *step {
            ["replace", ":", from, ",", to] => {
                value = value.replace(operand(from, values)?, operand(to, values)?);
            }
            _ => bail!("`{text}` has a filter that is not known"),
        }
    }
    Ok(value)
}

/// Whether one of the conditions with `or` between them holds.
fn holds(text: &str, values: &Values) -> Result<bool> {
    let mut any = false;
    for condition in words(text)?.split(|word| *word == "or") {
        let &[left, operator, right] = condition else {
            bail!("`{text}` is no condition");
        };
        let (left, right) = (operand(left, values)?, operand(right, values)?);
        any |= match operator {
            "==" => left == right,
            "!=" => left != right,
            "contains" => left.contains(right),
            _ => bail!("`{text}` is no condition"),
        };
    }
    Ok(any)
}

/// A text in quotes, in which nothing is escaped, or a value by its name.
fn operand<'a>(word: &'a str, values: &'a Values) -> Result<&'a str> {
    if let Some(quote @ ('"' | '\'')) = word.chars().next() {
        return Ok(word.trim_matches(quote));
    }
    let value = values.get(word).map(String::as_str);
    value.with_context(|| format!("there is no value `{word}`"))
}

/// Names, texts with their quotes, and signs.
fn words(text: &str) -> Result<Vec<&str>> {
    const SIGNS: [char; 3] = ['|', ':', ','];
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(BLANK);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => {
                let closing = rest.get(1..).and_then(|rest| rest.find(first));
                closing.with_context(|| format!("`{text}` has an open quote"))? + 2
            }
            _ if SIGNS.contains(&first) => 1,
            _ => {
                let end = rest.find(|c: char| BLANK.contains(&c) || SIGNS.contains(&c));
                end.unwrap_or(rest.len())
            }
        };
        let (word, behind) = rest.split_at(length);
        words.push(word);
        rest = behind.trim_start_matches(BLANK);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        let values = [("a", "one"), ("b-c", r#"x\y"z"#), ("none", "")];
        let values = values.map(|(key, value)| (key.to_owned(), value.to_owned()));
        fill(text, &Values::from(values)).unwrap_or_else(|error| format!("! {error:#}"))
    }

    #[test]
    fn values_are_put_in() {
        assert_eq!(filled("{{a}}{{ none }}, {{ a }}\n"), "one, one\n");
        assert_eq!(
            filled("{{a | replace: \"n\", '' | replace: 'e', a}}"),
            "oone"
        );
        let path = r#"{{ b-c | replace: "\", "\\" | replace: '"', '\"' }}"#;
        assert_eq!(filled(path), r#"x\\y\"z"#);
        assert_eq!(filled("} }} %} { a"), "} }} %} { a");
    }

    #[test]
    fn the_first_branch_that_is_right_is_taken() {
        let text = r#"{% if a == "two" %}2{% elsif a contains "n" %}n{% elsif a == 'one' %}1{% else %}-{% endif %}"#;
        assert_eq!(filled(text), "n");
        assert_eq!(filled(r#"{% if none != "" %}1{% else %}2{% endif %}"#), "2");
        let or = r#"{% if b-c contains "/" or b-c contains "\" %}1{% endif %}"#;
        assert_eq!(filled(or), "1");
        let nested = r#"{% if a == "x" %}{% if a == "one" %}1{% else %}2{% endif %}{{ unknown }}{% endif %}3"#;
        assert_eq!(filled(nested), "3");
    }

    #[test]
    fn hyphens_take_white_space_away() {
        let text = "1 \n {%- if a == 'one' -%} \n 2 \n {%- endif %} \n 3";
        assert_eq!(filled(text), "12 \n 3");
        assert_eq!(filled("1\t\n{{- a -}}\n\t2"), "1\tone\t2");
    }

    #[test]
    fn raw_text_stays() {
        let text = "1\n{%- raw %}\n${{ a }} {% if %}\n{%- endraw %}\n2";
        assert_eq!(filled(text), "1\n${{ a }} {% if %}\n2");
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for (text, says) in [
            ("{{ b }}", "no value `b`"),
            ("{{ a | upcase }}", "filter"),
            ("{{ a b }}", "is no value"),
            ("{{ a", "has no `}}`"),
            ("{{ 'a }}", "open quote"),
            ("{% if a %}{% endif %}", "no condition"),
            ("{% if a > 'b' %}{% endif %}", "no condition"),
            ("{% if a == 'b' %}", "has no end"),
            ("{% raw %}", "has no end"),
            ("{% endif %}", "without `if`"),
            ("{% else %}", "without `if`"),
            ("{% for x in a %}", "`for` is not known"),
        ] {
            let said = filled(text);
            assert!(
                said.starts_with("! ") && said.contains(says),
                "{text}: {said}"
            );
        }
    }
}
