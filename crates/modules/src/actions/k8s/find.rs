//! Which objects run an image: read page by page, each list to its end.

use serde_json::Value;

use super::image::{Match, Running};
use super::input::{Find, FindWorkloads, Workload};
use crate::action::Error;
use crate::clients::kubernetes::{Cluster, Pages, Resource, is_name};

/// Lists that change while they are read are begun anew so often.
const BEGIN_MAX: usize = 3;

/// A kind that runs containers.
#[allow(clippy::struct_field_names, reason = "Kubernetes' own word")]
struct Kind {
    kind: &'static str,
    api_version: &'static str,
    plural: &'static str,
    /// Where its pods' specification is.
    spec: &'static str,
}

/// Every kind of Kubernetes' own that runs containers, and is not made by one of the others.
const KINDS: [Kind; 6] = [
    of(
        "Deployment",
        "apps/v1",
        "deployments",
        "/spec/template/spec",
    ),
    of(
        "StatefulSet",
        "apps/v1",
        "statefulsets",
        "/spec/template/spec",
    ),
    of("DaemonSet", "apps/v1", "daemonsets", "/spec/template/spec"),
    of("Job", "batch/v1", "jobs", "/spec/template/spec"),
    of(
        "CronJob",
        "batch/v1",
        "cronjobs",
        "/spec/jobTemplate/spec/template/spec",
    ),
    of("Pod", "v1", "pods", "/spec"),
];

const fn of(
    kind: &'static str,
    api_version: &'static str,
    plural: &'static str,
    spec: &'static str,
) -> Kind {
    Kind {
        kind,
        api_version,
        plural,
        spec,
    }
}

/// What is looked for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    image: &'a str,
    namespace: &'a str,
    how: Match,
    init_containers: bool,
}

/// The names of the objects of a kind that run an image, as CSF gave them: one for each
/// container.
pub(super) async fn names(
    cluster: &Cluster,
    kind: &str,
    find: &Find,
) -> Result<Vec<String>, Error> {
    let wanted = Wanted {
        image: &find.image,
        namespace: &find.namespace,
        how: find.how,
        init_containers: find.init_containers,
    };
    let mut found = Vec::new();
    for kind in KINDS.iter().filter(|one| one.kind == kind) {
        found.extend(look(cluster, kind, wanted).await?);
    }
    Ok(found.into_iter().map(|found| found.name).collect())
}

/// Everything that runs an image. A kind that may not be read is an error, never passed over.
pub(super) async fn workloads(
    cluster: &Cluster,
    find: &FindWorkloads,
) -> Result<Vec<Workload>, Error> {
    let wanted = Wanted {
        image: &find.image,
        namespace: &find.namespace,
        how: find.how,
        init_containers: true,
    };
    let mut found = Vec::new();
    for kind in &KINDS {
        found.extend(look(cluster, kind, wanted).await?);
    }
    Ok(found)
}

async fn look(cluster: &Cluster, kind: &Kind, wanted: Wanted<'_>) -> Result<Vec<Workload>, Error> {
    if wanted.image.is_empty() {
        return Err(Error::permanent("`image` is empty: every image ends so"));
    }
    let namespace = Some(wanted.namespace).filter(|namespace| *namespace != "*");
    if let Some(wrong) = namespace.filter(|namespace| !is_name(namespace)) {
        return Err(Error::permanent(format!(
            "`{wrong}` is not the name of a namespace"
        )));
    }
    let path = Resource::namespaced(kind.api_version, kind.plural).list(namespace);
    let mut begun = 0;
    'anew: loop {
        begun += 1;
        let mut found = Vec::new();
        let mut pages = Pages::new(cluster, &path, &[]);
        loop {
            let page = match pages.next().await {
                Err(error) if error.is_expired() && begun < BEGIN_MAX => continue 'anew,
                page => page?,
            };
            let Some(page) = page else {
                return Ok(found);
            };
            for item in &page.items {
                if !page.is_whole {
                    return Err(unread(kind, item));
                }
                gather(item, kind, wanted, &mut found);
            }
        }
    }
}

/// An object that could not be read may run the image: no list without it is an answer.
fn unread(kind: &Kind, item: &Value) -> Error {
    let text = |name: &str| item["metadata"][name].as_str().unwrap_or_default();
    Error::permanent(format!(
        "the {} {}/{} is too large to be read",
        kind.kind,
        text("namespace"),
        text("name")
    ))
}

fn gather(object: &Value, kind: &Kind, wanted: Wanted<'_>, found: &mut Vec<Workload>) {
    let Some(spec) = object.pointer(kind.spec) else {
        return;
    };
    let lists = [
        ("containers", "containerStatuses"),
        ("initContainers", "initContainerStatuses"),
        ("ephemeralContainers", "ephemeralContainerStatuses"),
    ];
    let counted = if wanted.init_containers {
        &lists[..]
    } else {
        &lists[..1]
    };
    for (list, statuses) in counted {
        let statuses = object["status"][*statuses].as_array();
        for container in spec[*list].as_array().into_iter().flatten() {
            let Some(image) = container["image"].as_str() else {
                continue;
            };
            let mut told = statuses.into_iter().flatten();
            let told = told.find(|status| status["name"] == container["name"]);
            let running = Running {
                image,
                image_id: told.and_then(|status| status["imageID"].as_str()),
            };
            if wanted.how.fits(&running, wanted.image) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let metadata = &object["metadata"];
                found.push(Workload {
                    api_version: kind.api_version,
                    kind: kind.kind,
                    namespace: text(&metadata["namespace"]),
                    name: text(&metadata["name"]),
                    uid: text(&metadata["uid"]),
                    container: text(&container["name"]),
                    image: image.to_owned(),
                });
            }
        }
    }
}
