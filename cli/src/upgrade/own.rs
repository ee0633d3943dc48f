//! Settings that a user has made before the template had them: a merge of lines would have them twice.

use toml_edit::{DocumentMut, Item, TableLike};

/// A file of the template without the settings that a user has made of their own, and what those are
/// called where they differ. What is not TOML is as it was.
pub fn without_own(base: &str, ours: &str, theirs: &str) -> (String, Vec<String>) {
    let parse = |text: &str| text.parse::<DocumentMut>().ok();
    let (Some(base), Some(ours), Some(mut new)) = (parse(base), parse(ours), parse(theirs)) else {
        return (theirs.to_owned(), Vec::new());
    };
    let mut own = Own {
        found: Vec::new(),
        differ: Vec::new(),
    };
    own.find(&[], base.as_table(), ours.as_table(), new.as_table());
    if own.found.is_empty() {
        return (theirs.to_owned(), Vec::new());
    }
    for path in &own.found {
        let mut table = path.iter().rev().skip(1).rev();
        let table = table.try_fold(new.as_item_mut(), |item, key| item.get_mut(key));
        if let (Some(table), Some(key)) = (table.and_then(Item::as_table_like_mut), path.last()) {
            table.remove(key);
        }
    }
    (new.to_string(), own.differ)
}

struct Own {
    found: Vec<Vec<String>>,
    differ: Vec<String>,
}

impl Own {
    /// Goes through the template's tables as far as both sides have them.
    fn find(
        &mut self,
        above: &[&str],
        base: &dyn TableLike,
        ours: &dyn TableLike,
        theirs: &dyn TableLike,
    ) {
        for (key, new) in theirs.iter() {
            let path = [above, &[key]].concat();
            let (Some(mine), before) = (ours.get(key), base.get(key)) else {
                continue;
            };
            match (before, mine, new) {
                (Some(Item::Table(before)), Item::Table(mine), Item::Table(new)) => {
                    self.find(&path, before, mine, new);
                }
                (None, Item::Value(mine), Item::Value(new)) => {
                    let is_same = mine.to_string().trim() == new.to_string().trim();
                    self.differ.extend((!is_same).then(|| path.join(".")));
                    self.found
                        .push(path.into_iter().map(str::to_owned).collect());
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "name = \"x\"\n[vars]\nA = \"1\"\n[empty]\n";
    const THEIRS: &str = "name = \"x\"\n# Why.\nflags = [\"a\"]\n[vars]\nA = \"1\"\n# What B is.\n\
                          B = \"0\"\n# What C is.\nC = \"0\"\n[empty]\nD = 1\n";

    #[test]
    fn what_a_user_has_set_is_not_set_again() {
        let ours = "name = \"y\"\nflags = [\"mine\"]\n[vars]\nC = \"0\"\nA = \"2\"\nB = \"7\"\n";
        let (theirs, own) = without_own(BASE, ours, THEIRS);
        assert_eq!(theirs, "name = \"x\"\n[vars]\nA = \"1\"\n[empty]\nD = 1\n");
        assert_eq!(own, ["flags", "vars.B"]);
    }

    #[test]
    fn what_is_only_the_templates_stays() {
        for ours in [BASE, "", "name = ", "vars = { B = \"1\" }"] {
            assert_eq!(without_own(BASE, ours, THEIRS), (THEIRS.to_owned(), vec![]));
        }
    }
}
