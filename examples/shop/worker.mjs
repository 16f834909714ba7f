// A worker with a bug: it crashes on the third order. The supervisor starts it again.
const orders = [1017, 1018, null]

for (const order of orders) {
  await new Promise((resolve) => setTimeout(resolve, 300))
  if (order === null) {
    console.error('order has no customer')
    process.exit(1)
  }
  console.log(`order ${order} sent`)
}
