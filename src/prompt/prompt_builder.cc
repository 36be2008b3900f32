#include "prompt/prompt_builder.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "prompt/angles.h"
#include "prompt/builtin_templates.h"
#include "prompt/placeholders.h"
#include "prompt/prompt_template.h"
#include "prompt/template_files.h"

namespace postgen {
namespace {

constexpr std::string_view kDraftAngle = "草稿";

struct Templates {
  PromptTemplate system;
  PromptTemplate user;
};
using AllTemplates = std::array<Templates, std::size(kPromptKinds)>;

std::string FileStem(PromptKind kind) {
  switch (kind) {
    case PromptKind::kAnalysis: return "analysis";
    case PromptKind::kInteraction: return "interaction";
    case PromptKind::kPersonalized: return "personalized";
    case PromptKind::kDraft: return "draft";
  }
  return {};
}

PromptKind KindOf(std::string_view posting_type) {
  if (posting_type == "interaction") return PromptKind::kInteraction;
  if (posting_type == "personalized") return PromptKind::kPersonalized;
  return PromptKind::kAnalysis;
}

std::string VersionType(std::string_view posting_type) {
  return posting_type == "interaction" ? "interaction" : "analysis";
}

// The file's template if `dir` has one, else the built-in one.
Result<PromptTemplate> Load(const std::string& dir, const std::string& name,
                            const std::string& builtin) {
  std::optional<std::string> text;
  if (!dir.empty()) {
    Result<std::optional<std::string>> file = ReadTemplateFile(dir, name);
    if (!file.ok()) return std::move(file).error();
    text = std::move(*file);
  }
  return PromptTemplate::Parse(text ? *text : builtin, name, IsPlaceholder);
}

Result<Templates> LoadTemplates(const std::string& dir, PromptKind kind) {
  const TemplateTexts builtin = BuiltinTemplates(kind);
  Result<PromptTemplate> system = Load(dir, FileStem(kind) + ".system.txt", builtin.system);
  if (!system.ok()) return std::move(system).error();
  Result<PromptTemplate> user = Load(dir, FileStem(kind) + ".user.txt", builtin.user);
  if (!user.ok()) return std::move(user).error();
  return Templates{std::move(*system), std::move(*user)};
}

// The placeholders' values, of which a post's versions share nearly all.
class Values {
 public:
  void Append(std::string_view name, const PromptInput& input, std::string* out) {
    const auto shared = std::find_if(shared_.begin(), shared_.end(),
                                     [&](const auto& value) { return value.first == name; });
    if (shared != shared_.end()) {
      *out += shared->second;
      return;
    }
    std::string value = PlaceholderValue(name, input);
    *out += value;
    if (!DependsOnVersion(name)) shared_.emplace_back(name, std::move(value));
  }

 private:
  std::vector<std::pair<std::string_view, std::string>> shared_;
};

std::vector<Message> Expand(const Templates& templates, const PromptInput& input, Values* values) {
  const auto append = [&](std::string_view name, std::string* out) {
    values->Append(name, input, out);
  };
  return {{Role::kSystem, templates.system.Expand(append)},
          {Role::kUser, templates.user.Expand(append)}};
}

class Builder final : public PromptBuilder {
 public:
  Builder(AllTemplates templates, PromptTemplate angle)
      : templates_(std::move(templates)), angle_(std::move(angle)) {}

  std::vector<VersionPlan> Build(const PostRequest& request, const KolProfile* profile,
                                 std::string_view draft) const override {
    const Templates& templates = TemplatesOf(KindOf(request.posting_type));
    const bool tells_versions_apart =
        templates.system.Mentions(DependsOnVersion) || templates.user.Mentions(DependsOnVersion);
    Values values;
    std::vector<VersionPlan> plans;
    for (int number = 1; number <= request.versions; ++number) {
      const Angle& angle = AngleOf(request.posting_type, number);
      const PromptInput input = {request, profile, draft, angle.name, angle.guidance, number};
      std::vector<Message> messages = Expand(templates, input, &values);
      if (!tells_versions_apart) {
        messages.back().content +=
            "\n\n" + angle_.Expand([&](std::string_view name, std::string* out) {
              values.Append(name, input, out);
            });
      }
      plans.push_back({number, std::string(angle.name), VersionType(request.posting_type),
                       std::move(messages)});
    }
    return plans;
  }

  VersionPlan BuildDraft(const PostRequest& request, const KolProfile* profile) const override {
    const PromptInput input = {request,
                               profile,
                               /*draft=*/"",
                               kDraftAngle,
                               /*angle_guidance=*/"",
                               /*version_number=*/0};
    Values values;
    return {0, std::string(kDraftAngle), VersionType(request.posting_type),
            Expand(TemplatesOf(PromptKind::kDraft), input, &values)};
  }

 private:
  const Templates& TemplatesOf(PromptKind kind) const {
    return templates_[static_cast<std::size_t>(kind)];
  }

  const AllTemplates templates_;
  const PromptTemplate angle_;
};

}  // namespace

Result<std::unique_ptr<PromptBuilder>> PromptBuilder::Create(const PromptOptions& options) {
  if (!options.dir.empty()) {
    Status dir = CheckTemplateDir(options.dir);
    if (!dir.ok()) return std::move(dir).error();
  }
  AllTemplates all;
  for (const PromptKind kind : kPromptKinds) {
    Result<Templates> templates = LoadTemplates(options.dir, kind);
    if (!templates.ok()) return std::move(templates).error();
    all[static_cast<std::size_t>(kind)] = std::move(*templates);
  }
  Result<PromptTemplate> angle = PromptTemplate::Parse(AngleTemplate(), "angle", IsPlaceholder);
  if (!angle.ok()) return std::move(angle).error();
  return std::unique_ptr<PromptBuilder>(
      std::make_unique<Builder>(std::move(all), std::move(*angle)));
}

}  // namespace postgen
