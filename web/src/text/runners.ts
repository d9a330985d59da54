export const runners = {
  title: "Runners",
};
