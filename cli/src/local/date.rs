//! The date whose runtime behaviour a worker expects: checked before anything is built, since the runtime
//! says of a wrong one only that it does not start.

use anyhow::Result;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{error::problem, project::Project};

/// Refuses a date that is none, or that is to come.
pub fn check(project: &Project) -> Result<()> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    wrong(project.compatibility_date(), today).map_or(Ok(()), |wrong| {
        Err(problem(
            format!(
                "{}: `compatibility_date` is {wrong}",
                project.manifest().name()
            ),
            format!("take the day of the last test against Workers, {today} at the latest"),
        ))
    })
}

fn wrong(text: &str, today: Date) -> Option<String> {
    match text.parse::<Date>() {
        Ok(date) if date.to_string() != text => Some(format!("`{text}`, not a date like {today}")),
        Ok(date) if date > today => Some(format!("{date}, which is yet to come")),
        Ok(_) => None,
        Err(_) => Some(format!("`{text}`, not a date like {today}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_one_that_has_come() {
        let today = "2026-11-26".parse().unwrap();
        for right in ["2026-04-01", "2026-11-26"] {
            assert_eq!(wrong(right, today), None);
        }
        let said = |text| wrong(text, today).unwrap();
        assert_eq!(said("2026-11-27"), "2026-11-27, which is yet to come");
        for text in ["soon", "", "2026-13-01", "20260401", "2026-04-01T00:00:00"] {
            assert_eq!(said(text), format!("`{text}`, not a date like 2026-11-26"));
        }
    }
}
