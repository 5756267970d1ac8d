//! The contents of `src/`: accesses of atomics, and the functions around them.

use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::callers::{Fields, Method, Methods};
use crate::{Failure, comments, files};

/// A call of an atomic's method or of a fence, with its orderings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) file: String,
    pub(crate) line: usize,
    /// The column, from 1 as in a panic.
    pub(crate) column: usize,
    pub(crate) operation: String,
    pub(crate) orderings: Vec<String>,
    /// The comment that gives the orderings' reasons: the one at the site, or else that of the
    /// method of `src/sync` that is called.
    pub(crate) reason: String,
}

/// A function, from its first line to its last.
#[derive(Debug)]
struct Function {
    file: String,
    name: String,
    lines: std::ops::RangeInclusive<usize>,
}

/// All accesses and functions of some files.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) accesses: Vec<Access>,
    functions: Vec<Function>,
    /// The methods whose accesses are sites of their callers.
    methods: Methods,
}

const ORDERINGS: [&str; 5] = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

impl Sources {
    /// Reads all files in `src/`.
    pub(crate) fn read(root: &Path) -> Result<Self, Failure> {
        let mut sources = Self::default();
        for path in rust_files(&root.join("src/sync"))? {
            sources.add_methods(&parsed(&path)?);
        }
        sources.add_folder(root, &root.join("src"))?;
        Ok(sources)
    }

    /// Reads the sources of the companion crates, apart from their tests.
    pub(crate) fn read_companions(root: &Path) -> Result<Self, Failure> {
        let mut sources = Self::default();
        for package in files::entries(&root.join("crates"))? {
            if package.join("src").is_dir() {
                sources.add_folder(root, &package.join("src"))?;
            }
        }
        let is_test = |it: &Access| it.file.contains("/tests/") || it.file.ends_with("/tests.rs");
        sources.accesses.retain(|access| !is_test(access));
        Ok(sources)
    }

    fn add_folder(&mut self, root: &Path, folder: &Path) -> Result<(), Failure> {
        for path in rust_files(folder)? {
            let file = path.strip_prefix(root).expect("it lies below");
            self.add(&file.to_string_lossy(), &files::text(&path)?)?;
        }
        Ok(())
    }

    /// Notes the methods of a file of `src/sync` that track their callers.
    fn add_methods(&mut self, file: &syn::File) {
        for item in &file.items {
            match item {
                syn::Item::Impl(item) => self.add_methods_of(item),
                // The macro defines the methods of the types whose accesses are all relaxed.
                syn::Item::Macro(item) if item.ident.is_some() => {
                    let tokens = item.mac.tokens.to_string();
                    let names = tokens.split("fn ").skip(1);
                    let names = names.filter_map(|rest| rest.split_whitespace().next());
                    self.methods.relaxed.extend(names.map(str::to_owned));
                }
                _ => {}
            }
        }
    }

    fn add_methods_of(&mut self, item: &syn::ItemImpl) {
        let Some(owner) = name_of(&item.self_ty) else {
            return;
        };
        for function in &item.items {
            if let syn::ImplItem::Fn(function) = function
                && is_site_of_callers(&function.attrs)
            {
                let mut inside = Inside::default();
                inside.visit_block(&function.block);
                let method = Method::of(&owner, function, &inside.0);
                self.methods.all.extend(method);
            }
        }
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), Failure> {
        let parsed = syn::parse_file(text).map_err(|error| format!("{file}: {error}"))?;
        let methods = std::mem::take(&mut self.methods);
        let mut reader = Reader {
            file,
            text,
            lines: text.lines().collect(),
            fields: Fields::of(&parsed),
            methods: &methods,
            around: Vec::new(),
            sources: self,
        };
        reader.visit_file(&parsed);
        self.methods = methods;
        Ok(())
    }

    /// The innermost function around a line.
    pub(crate) fn function_at(&self, file: &str, line: usize) -> &str {
        let around = self.functions.iter();
        let around = around.filter(|it| it.file == file && it.lines.contains(&line));
        around
            .min_by_key(|it| it.lines.end() - it.lines.start())
            .map_or("", |it| &it.name)
    }
}

fn parsed(path: &Path) -> Result<syn::File, Failure> {
    let parsed = syn::parse_file(&files::text(path)?);
    parsed.map_err(|error| format!("{}: {error}", path.display()))
}

/// The last name in a type's path.
fn name_of(kind: &syn::Type) -> Option<String> {
    match kind {
        syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    }
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in files::entries(folder)? {
        if path.is_dir() {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Whether the accesses in the function are sites of its callers.
fn is_site_of_callers(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string().contains("track_caller"),
        _ => false,
    })
}

/// Whether the attributes keep the item out of every build of the models.
fn is_left_out(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg")
            && (condition == "test"
                || condition.contains("not (tripcurve_loom)")
                || condition.starts_with("all (test"))
    })
}

/// The atomics' operations in a function, each with its orderings.
#[derive(Default)]
struct Inside(Vec<(String, Vec<String>)>);

impl Inside {
    fn note<'e>(&mut self, operation: &str, arguments: impl Iterator<Item = &'e syn::Expr>) {
        let orderings: Vec<_> = arguments.filter_map(ordering_of).collect();
        if !orderings.is_empty() {
            self.0.push((operation.to_owned(), orderings));
        }
    }
}

impl<'ast> Visit<'ast> for Inside {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.note(&call.method.to_string(), call.args.iter());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        self.note("fence", call.args.iter());
        visit::visit_expr_call(self, call);
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    lines: Vec<&'a str>,
    fields: Fields,
    methods: &'a Methods,
    /// The names of the enclosing modules, types and functions.
    around: Vec<String>,
    sources: &'a mut Sources,
}

impl Reader<'_> {
    fn within(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.around.push(name);
        visit(self);
        self.around.pop();
    }

    fn note_function(&mut self, span: proc_macro2::Span) {
        self.sources.functions.push(Function {
            file: self.file.to_owned(),
            name: self.around.join("::"),
            lines: span.start().line..=span.end().line,
        });
    }

    fn note_access<'e>(
        &mut self,
        at: proc_macro2::Span,
        operation: String,
        arguments: impl Iterator<Item = &'e syn::Expr>,
    ) {
        let orderings: Vec<_> = arguments.filter_map(ordering_of).collect();
        if !orderings.is_empty() {
            self.add_access(at, operation, orderings, "");
        }
    }

    fn note_call(&mut self, at: proc_macro2::Span, method: &Method) {
        let (operation, orderings) = (method.operation.clone(), method.orderings.clone());
        self.add_access(at, operation, orderings, &method.documentation);
    }

    fn add_access(
        &mut self,
        at: proc_macro2::Span,
        operation: String,
        orderings: Vec<String>,
        documentation: &str,
    ) {
        let line = at.start().line;
        let reason = comments::reason(&self.lines[..line - 1], &orderings[0])
            .unwrap_or_else(|| documentation.to_owned());
        self.sources.accesses.push(Access {
            file: self.file.to_owned(),
            line,
            column: at.start().column + 1,
            operation,
            orderings,
            reason,
        });
    }
}

fn ordering_of(argument: &syn::Expr) -> Option<String> {
    let syn::Expr::Path(path) = argument else {
        return None;
    };
    let [kind, ordering] = path.path.segments.iter().collect::<Vec<_>>()[..] else {
        return None;
    };
    let ordering = ordering.ident.to_string();
    (kind.ident == "Ordering" && ORDERINGS.contains(&ordering.as_str())).then_some(ordering)
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Fn(it) => &it.attrs,
            syn::Item::Impl(it) => &it.attrs,
            syn::Item::Mod(it) => &it.attrs,
            _ => &Vec::new(),
        };
        if !is_left_out(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let name = name_of(&item.self_ty);
        self.within(name.unwrap_or_default(), |it| {
            visit::visit_item_impl(it, item);
        });
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.within(item.ident.to_string(), |it| {
            visit::visit_item_trait(it, item);
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.within(item.sig.ident.to_string(), |it| {
            it.note_function(item.span());
            visit::visit_item_fn(it, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_left_out(&item.attrs) {
            self.within(item.sig.ident.to_string(), |it| {
                it.note_function(item.span());
                if !is_site_of_callers(&item.attrs) {
                    visit::visit_impl_item_fn(it, item);
                }
            });
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.within(item.sig.ident.to_string(), |it| {
            it.note_function(item.span());
            visit::visit_trait_item_fn(it, item);
        });
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let (name, arguments) = (&call.method, call.args.len());
        let uses = |owner: &str| self.text.contains(owner);
        let text = name.to_string();
        let method = self.methods;
        match method.called(&call.receiver, &text, arguments, &self.fields, uses) {
            Some(method) => self.note_call(name.span(), method),
            None => self.note_access(name.span(), text, call.args.iter()),
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func {
            if function.path.is_ident("fence") {
                self.note_access(call.span(), "fence".to_owned(), call.args.iter());
            } else if let Some(method) = self.methods.called_by_path(&function.path) {
                self.note_call(call.span(), method);
            }
        }
        visit::visit_expr_call(self, call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
impl Word {
    fn exchange(&self) -> bool {
        self.word
            .compare_exchange(1, 2, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
    fn other(&self) {
        fence(Ordering::SeqCst);
        self.load();
    }
    #[cfg_attr(tripcurve_loom, track_caller)]
    fn load(&self) {
        self.word.load(Ordering::Acquire);
    }
}
#[cfg(test)]
mod tests {
    fn not_looked_at() {
        word.load(Ordering::Relaxed);
    }
}
";

    #[test]
    fn accesses_are_found_with_their_functions() {
        let mut sources = Sources::default();
        sources.add("a.rs", TEXT).unwrap();
        let [exchange, fence] = &sources.accesses[..] else {
            panic!("{sources:?}");
        };
        assert_eq!((exchange.line, exchange.column), (4, 14));
        assert_eq!(exchange.operation, "compare_exchange");
        assert_eq!(exchange.orderings, ["AcqRel", "Acquire"]);
        assert_eq!((fence.line, fence.column), (8, 9));
        assert_eq!(fence.orderings, ["SeqCst"]);
        assert_eq!(sources.function_at("a.rs", 4), "Word::exchange");
        assert_eq!(sources.function_at("a.rs", 8), "Word::other");
    }
}
