//! Recipes of one's own, from a folder.

use std::path::Path;

use crate::server::conche;

/// What `config check` says of a configuration in this repository's folder.
fn check(config: &Path) -> (bool, String) {
    let mut command = conche();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    command
        .current_dir(root)
        .args(["config", "check", "--config"])
        .arg(config);
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(told).unwrap())
}

#[test]
fn the_examples_of_recipes_and_of_openstack_are_configurations() {
    for name in ["recipes", "openstack"] {
        let file = format!("examples/config/{name}.yaml");
        let (is_fine, told) = check(Path::new(&file));
        assert!(is_fine, "{told}");
    }
}

#[test]
fn a_recipe_that_can_not_be_used_is_named_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let recipes = dir.path().join("recipes");
    std::fs::create_dir(&recipes).unwrap();
    let config = dir.path().join("c.yaml");
    let text = format!("recipes: {{ dir: {} }}\n", recipes.display());
    std::fs::write(&config, &text).unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/recipes/ntfy.yaml");
    let example = std::fs::read_to_string(example).unwrap();
    let table = [
        (example.clone(), ""),
        (
            example.replace("{{ input.title }}", "{{ input.titel }}"),
            "there is no `input.titel`",
        ),
        (
            example.replace("name: ntfy", "name: http"),
            "there is another module `http`",
        ),
        (
            example.replace("name: ntfy", "name: slack"),
            "there is another module `slack`",
        ),
        (example.replace("settings:", "setings:"), "setings"),
    ];
    for (recipe, expected) in table {
        std::fs::write(recipes.join("mine.yaml"), recipe).unwrap();
        let (is_fine, told) = check(&config);
        assert_eq!(is_fine, expected.is_empty(), "{told}");
        assert!(told.contains(expected), "{told}");
        let names_file = expected.contains("another module") || told.contains("mine.yaml");
        assert!(
            is_fine || names_file && told.contains("recipes.dir"),
            "{told}"
        );
    }
    std::fs::write(&config, "recipes: { dir: /nothing/here }\n").unwrap();
    let (is_fine, told) = check(&config);
    assert!(
        !is_fine && told.contains("can't read /nothing/here"),
        "{told}"
    );
}

#[test]
fn recipes_of_ones_own_are_among_the_modules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let ask = |words: &[&str], dir: &Path| {
        let mut command = conche();
        command.current_dir(dir).arg("modules").args(words);
        command.output().unwrap()
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let config = ["--config", "examples/config/recipes.yaml"];
    let listed = ask(&[&["list"], &config[..]].concat(), &root);
    assert!(text(&listed.stdout).contains("ntfy.publish"), "{listed:?}");
    let shown = ask(&[&["show", "ntfy"], &config[..]].concat(), &root);
    assert!(text(&shown.stdout).contains("topic"), "{shown:?}");

    // A configuration that is found and cannot be used is told of and stops nothing; one that
    // was named is an error.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("conche.yaml"), "nonsense: 1\n").unwrap();
    let listed = ask(&["list"], dir.path());
    assert!(text(&listed.stdout).contains("mail"), "{listed:?}");
    assert!(text(&listed.stderr).contains("nonsense"), "{listed:?}");
    let named = ask(&["list", "--config", "conche.yaml"], dir.path());
    assert_eq!(named.status.code(), Some(1), "{named:?}");
}
