export const workflow = {
  title: "Workflow",
};
