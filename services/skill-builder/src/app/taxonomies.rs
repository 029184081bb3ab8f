//! The taxonomy in use.

use std::sync::Arc;

use tokio::sync::OnceCell;

use super::{App, Error};
use crate::{domain::corpus::LabelIndex, store};

/// A taxonomy, with what is made from it once.
#[derive(Debug)]
pub(crate) struct Taxonomy {
    pub(crate) row: store::taxonomies::Row,
    index: OnceCell<Arc<LabelIndex>>,
}

impl App {
    /// The taxonomy in use now. Asked of the database each time, so that an import is followed at once.
    pub(crate) async fn taxonomy(&self) -> Result<Arc<Taxonomy>, Error> {
        let row = self.db.run::<_, Error>(|conn| Ok(store::taxonomies::active(conn)?)).await?;
        let row = row.ok_or(Error::NoTaxonomy)?;
        let known = self.taxonomy.read().await.clone();
        if let Some(known) = known.filter(|known| known.row == row) {
            return Ok(known);
        }
        let mut current = self.taxonomy.write().await;
        match &*current {
            Some(known) if known.row == row => Ok(Arc::clone(known)),
            _ => {
                let taxonomy = Arc::new(Taxonomy { row, index: OnceCell::new() });
                *current = Some(Arc::clone(&taxonomy));
                Ok(taxonomy)
            }
        }
    }

    /// All labels of a taxonomy's skills, to find them in texts. Read when it is first asked for.
    pub(crate) async fn label_index(&self, taxonomy: &Taxonomy) -> Result<Arc<LabelIndex>, Error> {
        let id = taxonomy.row.id;
        let read = || async move {
            let index = self.db.run::<_, Error>(move |conn| Ok(store::skills::label_index(conn, id)?)).await?;
            Ok(Arc::new(index))
        };
        taxonomy.index.get_or_try_init(read).await.map(Arc::clone)
    }
}
