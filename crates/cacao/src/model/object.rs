//! How the objects are written down: their required properties, their optional ones, and
//! whatever else was there.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A struct for an object of CACAO. Optional properties become options, and are left out
/// again where they were not there.
macro_rules! object {
    (
        $(#[$about:meta])*
        $name:ident {
            $($required:ident $(= $spelt:literal)?: $type:ty,)*
        } optional {
            $($optional:ident $(= $spelling:literal)?: $kind:ty,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[allow(missing_docs, reason = "each property is described in the table of objects")]
        pub struct $name {
            $($(#[serde(rename = $spelt)])? pub $required: $type,)*
            $(
                #[serde(default, skip_serializing_if = "Option::is_none" $(, rename = $spelling)?)]
                pub $optional: Option<$kind>,
            )*
            /// What CACAO does not know.
            #[serde(flatten)]
            pub other: crate::model::Other,
        }
    };
}

/// Members by name, in the order in which they were written. Looking one up is linear; a
/// program that looks up often keeps an index of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Dictionary<T>(pub Vec<(String, T)>);

impl<T> Default for Dictionary<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Dictionary<T> {
    /// The member with a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value)
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many members there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Dictionary<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Dictionary<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = Dictionary<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Dictionary<T>, A::Error> {
        let mut all = Vec::with_capacity(members.size_hint().unwrap_or(0).min(1024));
        while let Some(member) = members.next_entry()? {
            all.push(member);
        }
        Ok(Dictionary(all))
    }
}

/// A property that may be null, which is something else than not being there.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
