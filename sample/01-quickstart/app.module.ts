import { Body, Controller, Get, Module, NotFoundException, Param, Post } from '@nestjs/common';
import { DispatchClient, DispatchModule } from 'nestjs-dispatch';
import { Orders, Payments, Warehouse, type Order } from './orders.js';

@Controller('orders')
export class OrdersController {
  constructor(
    private readonly dispatch: DispatchClient,
    private readonly orders: Orders,
  ) {}

  @Post()
  async place(@Body() order: Order) {
    return { id: await this.dispatch.of(this.orders).place(order).dispatch() }; // answers once the order is on disk
  }

  @Get(':id')
  async status(@Param('id') id: string) {
    const call = await this.dispatch.get(id);
    if (call === undefined) throw new NotFoundException();
    return { state: call.state, waitsFor: call.waitsFor };
  }

  @Get(':id/receipt')
  async receipt(@Param('id') id: string) {
    await this.status(id); // 404 for an id that nobody has
    return this.dispatch.wait(id); // answers once the order is delivered
  }
}

@Module({
  imports: [DispatchModule.forRoot()],
  controllers: [OrdersController],
  providers: [Orders, Payments, Warehouse],
})
export class AppModule {}
