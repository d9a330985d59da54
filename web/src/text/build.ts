export const build = {
  title: "Builder",
};
