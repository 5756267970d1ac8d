//! The methods of `src/sync` whose accesses are sites of their callers.
//!
//! `Publisher::claim` is one. Under loom, such a method tracks its caller, so each call of it can be
//! weakened by itself. Here the calls are found in the text. The type of the called object is that
//! of a field with this name in the same file. Where there is none, the method's name must suffice.

use std::collections::BTreeMap;

use syn::visit::Visit;

/// A method of a type in `src/sync` with an ordering stronger than `Relaxed`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Method {
    /// The method's type.
    pub(crate) owner: String,
    pub(crate) name: String,
    /// The number of arguments besides `self`.
    pub(crate) arguments: usize,
    /// The atomic's operation and its orderings.
    pub(crate) operation: String,
    pub(crate) orderings: Vec<String>,
    pub(crate) documentation: String,
}

impl Method {
    /// The access in `function`, a method of `owner`, if it has exactly one.
    pub(crate) fn of(
        owner: &str,
        function: &syn::ImplItemFn,
        accesses: &[(String, Vec<String>)],
    ) -> Option<Self> {
        let [(operation, orderings)] = accesses else {
            return None;
        };
        let is_relaxed = orderings.iter().all(|ordering| ordering == "Relaxed");
        let inputs = function.sig.inputs.iter();
        let others = inputs.filter(|it| matches!(it, syn::FnArg::Typed(_)));
        (!is_relaxed).then(|| Self {
            owner: owner.to_owned(),
            name: function.sig.ident.to_string(),
            arguments: others.count(),
            operation: operation.clone(),
            orderings: orderings.clone(),
            documentation: documentation(&function.attrs),
        })
    }
}

/// The text of the doc comment.
fn documentation(attributes: &[syn::Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let syn::Meta::NameValue(syn::MetaNameValue {
            path,
            value: syn::Expr::Lit(literal),
            ..
        }) = &attribute.meta
        else {
            return None;
        };
        match &literal.lit {
            syn::Lit::Str(text) if path.is_ident("doc") => Some(text.value()),
            _ => None,
        }
    });
    let lines: Vec<_> = lines.map(|line| line.trim().to_owned()).collect();
    lines.join("\n")
}

/// The fields of a file's types: each name with the words of its types.
#[derive(Debug, Default)]
pub(crate) struct Fields(BTreeMap<String, Vec<String>>);

impl Fields {
    pub(crate) fn of(file: &syn::File) -> Self {
        let mut fields = Self::default();
        fields.visit_file(file);
        fields
    }
}

impl<'ast> Visit<'ast> for Fields {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        for (index, field) in item.fields.iter().enumerate() {
            let name = field.ident.as_ref();
            let name = name.map_or_else(|| index.to_string(), ToString::to_string);
            let mut words = Words::default();
            words.visit_type(&field.ty);
            self.0.entry(name).or_default().extend(words.0);
        }
    }
}

/// The names in a type.
#[derive(Default)]
struct Words(Vec<String>);

impl<'ast> Visit<'ast> for Words {
    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        self.0.push(segment.ident.to_string());
        syn::visit::visit_path_segment(self, segment);
    }
}

/// The name of the field that an expression ends with.
fn field_of(object: &syn::Expr) -> Option<String> {
    match object {
        syn::Expr::Field(field) => Some(match &field.member {
            syn::Member::Named(name) => name.to_string(),
            syn::Member::Unnamed(index) => index.index.to_string(),
        }),
        syn::Expr::Index(it) => field_of(&it.expr),
        syn::Expr::Reference(it) => field_of(&it.expr),
        syn::Expr::Paren(it) => field_of(&it.expr),
        _ => None,
    }
}

/// The methods whose calls are sites.
#[derive(Debug, Default)]
pub(crate) struct Methods {
    pub(crate) all: Vec<Method>,
    /// The names of methods that some type has with `Relaxed`.
    pub(crate) relaxed: Vec<String>,
}

impl Methods {
    /// The method that `object.name(…)` calls, with so many arguments. `uses` says whether the file
    /// uses a type.
    pub(crate) fn called(
        &self,
        object: &syn::Expr,
        name: &str,
        arguments: usize,
        fields: &Fields,
        uses: impl Fn(&str) -> bool,
    ) -> Option<&Method> {
        let is_alike = |it: &&Method| it.name == name && it.arguments == arguments;
        let mut alike = self.all.iter().filter(is_alike);
        match field_of(object).and_then(|field| fields.0.get(&field)) {
            Some(words) => alike.find(|it| words.contains(&it.owner)),
            None if self.relaxed.iter().any(|it| it == name) => None,
            None => alike.find(|it| uses(&it.owner)),
        }
    }

    /// The function of a type that is called by its path, such as `Stamped::fence()`.
    pub(crate) fn called_by_path(&self, path: &syn::Path) -> Option<&Method> {
        let [.., owner, name] = path.segments.iter().collect::<Vec<_>>()[..] else {
            return None;
        };
        let is_it = |it: &&Method| owner.ident == it.owner && name.ident == it.name;
        self.all.iter().find(is_it)
    }
}
