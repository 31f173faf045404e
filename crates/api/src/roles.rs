//! What each role allows: the one table, which `docs/access.md` shows and a test compares.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::Access;

/// What a stored token allows, in one word.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Looks, sends events and acts on runs.
    Operator,
    /// Looks, and answers what waits for approval; starts nothing, so that who asks and who
    /// approves can be two.
    Approver,
    /// Does everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// What it allows. [`Access::Anyone`] goes without saying.
    pub fn allows(self) -> BTreeSet<Access> {
        use Access::{Anyone, Approve, Operate, Read, Send};
        match self {
            Self::Viewer => [Anyone, Read].into(),
            Self::Operator => [Anyone, Read, Send, Operate].into(),
            Self::Approver => [Anyone, Read, Approve].into(),
            Self::Admin => Access::ALL.into(),
        }
    }
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRole;

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(word: &str) -> Result<Self, NoRole> {
        let named = Self::ALL.into_iter().find(|role| role.as_str() == word);
        named.ok_or(NoRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/access.md");

    #[test]
    fn the_page_shows_the_table() {
        let rights = Access::ALL
            .into_iter()
            .filter(|right| *right != Access::Anyone);
        let row = |cells: Vec<&str>| -> String {
            let cell = |cell: &&str| match *cell {
                "" => " |".to_owned(),
                cell => [" ", cell, " |"].concat(),
            };
            "|".to_owned() + &cells.iter().map(cell).collect::<Vec<_>>().concat()
        };
        let mut heading = vec!["role"];
        heading.extend(rights.clone().map(Access::as_str));
        let mut table = vec![
            row(heading),
            "|---".repeat(rights.clone().count() + 1) + "|",
        ];
        for role in Role::ALL {
            let allowed = role.allows();
            let mut cells = vec![role.as_str()];
            cells.extend(
                rights
                    .clone()
                    .map(|right| if allowed.contains(&right) { "yes" } else { "" }),
            );
            table.push(row(cells));
        }
        let table = table.join("\n");
        assert!(PAGE.contains(&table), "docs/access.md lacks:\n{table}");
    }

    #[test]
    fn only_an_admin_administers_and_defines() {
        for role in Role::ALL {
            for right in [Access::Administer, Access::Define] {
                assert_eq!(role.allows().contains(&right), role == Role::Admin);
            }
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!("root".parse::<Role>(), Err(NoRole));
    }
}
