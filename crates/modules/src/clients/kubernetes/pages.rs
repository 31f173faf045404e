//! A list, read page by page, to its end.
//!
//! How large objects are is their owners' choice: a page that is larger than an answer may be
//! is asked for again with half as many objects, down to a single one. Of one that is too large
//! by itself only the metadata is read, so that who it is can be told and the list goes on.

use serde_json::Value;

use super::{Cluster, Error, query};

/// Objects of one page, at first.
const PAGE: u32 = 500;

/// A cluster has at most 150 000 pods; a list that goes on for longer has gone wrong.
const OBJECTS_MAX: u32 = 500_000;

/// A part of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    /// The version of the whole list.
    pub(crate) version: Option<String>,
    /// Whether these are the objects; else one, too large, of which this is the metadata.
    pub(crate) is_whole: bool,
}

/// A list that is being read.
pub(crate) struct Pages<'a> {
    cluster: &'a Cluster,
    path: &'a str,
    /// What is asked for beside the page.
    more: &'a [(&'a str, Option<&'a str>)],
    size: u32,
    asked: u32,
    token: Option<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(
        cluster: &'a Cluster,
        path: &'a str,
        more: &'a [(&'a str, Option<&'a str>)],
    ) -> Self {
        Self {
            cluster,
            path,
            more,
            size: PAGE,
            asked: 0,
            token: None,
            ended: false,
        }
    }

    /// The next page; none after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>, Error> {
        if self.ended {
            return Ok(None);
        }
        self.asked += self.size;
        if self.asked > OBJECTS_MAX {
            return Err(Error::Nonsense("the list has no end".to_owned()));
        }
        let (page, is_whole) = loop {
            match self.cluster.get(&self.query()).await {
                Err(Error::TooLarge) if self.size > 1 => self.size /= 2,
                Err(Error::TooLarge) => break (self.cluster.metadata(&self.query()).await?, false),
                answered => break (answered?, true),
            }
        };
        let strange = || Error::Nonsense("a list without items".to_owned());
        let Value::Object(mut page) = page else {
            return Err(strange());
        };
        let Some(Value::Array(items)) = page.remove("items") else {
            return Err(strange());
        };
        let metadata = page.remove("metadata").unwrap_or_default();
        let text = |name: &str| Some(metadata[name].as_str()?.to_owned());
        self.token = text("continue").filter(|token| !token.is_empty());
        self.ended = self.token.is_none();
        Ok(Some(Page {
            items,
            version: text("resourceVersion"),
            is_whole,
        }))
    }

    fn query(&self) -> String {
        let size = self.size.to_string();
        let mut pairs = vec![("limit", Some(&*size)), ("continue", self.token.as_deref())];
        pairs.extend(self.more);
        query(self.path, &pairs)
    }
}
