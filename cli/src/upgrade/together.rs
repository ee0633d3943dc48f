//! Settings that both have added at the same place, such as below `[vars]`: lines conflict there, and
//! settings need not.

use diffy::{ConflictStyle, MergeOptions};
use serde_json::Value;

/// The merge of TOML where both have only added at the places that conflict, with what both have added,
/// if that says what both say.
pub fn added_together(base: &str, ours: &str, theirs: &str) -> Option<String> {
    let mut options = MergeOptions::new();
    options.set_conflict_style(ConflictStyle::Diff3);
    let marked = options.merge(base, ours, theirs).err()?;
    let value = |text: &str| toml_edit::de::from_str::<Value>(text).ok();
    let [base, ours, theirs] = [value(base)?, value(ours)?, value(theirs)?];
    // What is added behind a new table would be a part of it, so the order may matter.
    [true, false].into_iter().find_map(|ours_first| {
        let text = with_both(&marked, ours_first)?;
        let merged = value(&text)?;
        let says_all = says(&merged, &ours, &base) && says(&merged, &theirs, &base);
        says_all.then_some(text)
    })
}

/// A text with conflicts, with both sides of each; nothing if one was there before both.
fn with_both(marked: &str, ours_first: bool) -> Option<String> {
    let mut text = String::new();
    let mut lines = marked.split_inclusive('\n');
    while let Some(line) = lines.next() {
        if !line.starts_with("<<<<<<< ") {
            text.push_str(line);
            continue;
        }
        let mut side = |end: &str| -> String {
            let side = lines.by_ref().take_while(|line| !line.starts_with(end));
            side.collect()
        };
        let (ours, original, theirs) = (side("||||||| "), side("======="), side(">>>>>>> "));
        if !original.is_empty() {
            return None;
        }
        let both = if ours_first {
            [ours, theirs]
        } else {
            [theirs, ours]
        };
        text.extend(both);
    }
    Some(text)
}

/// Whether settings say what others have changed of a base.
fn says(settings: &Value, others: &Value, base: &Value) -> bool {
    if others == base {
        return true;
    }
    match (settings, others) {
        (Value::Object(settings), Value::Object(others)) => others.iter().all(|(key, value)| {
            let base = base.get(key).unwrap_or(&Value::Null);
            value == base || settings.get(key).is_some_and(|one| says(one, value, base))
        }),
        (Value::Array(settings), Value::Array(others)) => {
            let base = base.as_array().map(Vec::as_slice).unwrap_or_default();
            let mut new = others.iter().filter(|one| !base.contains(one));
            new.all(|one| settings.contains(one))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "name = \"x\"\n[vars]\nA = \"1\"\n";

    #[test]
    fn settings_at_the_same_place_are_both_there() {
        let ours = "name = \"x\"\n[vars]\n# Mine.\nMINE = \"1\"\nA = \"1\"\n";
        let theirs = "name = \"x\"\n[vars]\n# New.\nNEW = \"1\"\nA = \"1\"\n";
        let both = "name = \"x\"\n[vars]\n# Mine.\nMINE = \"1\"\n# New.\nNEW = \"1\"\nA = \"1\"\n";
        assert_eq!(added_together(BASE, ours, theirs).as_deref(), Some(both));
    }

    #[test]
    fn a_table_does_not_take_what_is_added_to_the_one_before() {
        let ours = format!("{BASE}[mine]\nB = 1\n");
        let theirs = format!("{BASE}NEW = \"1\"\n");
        let both = format!("{BASE}NEW = \"1\"\n[mine]\nB = 1\n");
        assert_eq!(added_together(BASE, &ours, &theirs), Some(both.clone()));
        assert_eq!(added_together(BASE, &theirs, &ours), Some(both));
    }

    #[test]
    fn what_was_there_before_is_for_its_user_to_decide() {
        let with = |value: &str| BASE.replace("\"1\"", value);
        assert_eq!(added_together(BASE, &with("\"2\""), &with("\"3\"")), None);
        // The same setting, twice.
        let (one, other) = (format!("{BASE}B = 1\n"), format!("{BASE}B = 2\n"));
        assert_eq!(added_together(BASE, &one, &other), None);
        assert_eq!(added_together(BASE, &one, BASE), None);
        assert_eq!(added_together("", "no toml", "a = 1\n"), None);
    }
}
