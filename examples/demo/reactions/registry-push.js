// Repositories are named team/image.
if (/^[a-z0-9-]+\/[a-z0-9._-]+$/.test(event.target.repository)) {
  console.log(event.target.repository, "is fine");
} else {
  nextAction = "record refusal";
  result = { message: "push refused", level: "warn", fields: { repository: event.target.repository } };
}
